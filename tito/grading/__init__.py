"""From submitted notebooks to marks: confined execution, nbgrader's gradebook, the contract."""
