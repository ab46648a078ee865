"""Programs that run where only the given tree can be imported; they use no other part of tito."""
