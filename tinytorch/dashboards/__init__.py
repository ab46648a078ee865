"""Pictures of measurements. A dashboard shows results and computes none of them."""

from tinytorch.dashboards.charts import Chart, PlotlyOnce
from tinytorch.dashboards.memory_figures import memory_breakdown, memory_timeline
from tinytorch.dashboards.profiler_dashboard import ProfilerDashboard
from tinytorch.dashboards.roofline_figure import roofline
from tinytorch.dashboards.sample_figures import distribution, histogram, scaling_curve
from tinytorch.dashboards.static import show
from tinytorch.dashboards.time_figures import icicle, op_time_bars

__all__ = [
    "Chart",
    "PlotlyOnce",
    "ProfilerDashboard",
    "distribution",
    "histogram",
    "icicle",
    "memory_breakdown",
    "memory_timeline",
    "op_time_bars",
    "roofline",
    "scaling_curve",
    "show",
]
