"""Pictures of measurements. A dashboard shows results and computes none of them."""

from tinytorch.dashboards.cache_figure import cache_fill
from tinytorch.dashboards.charts import Chart, PlotlyOnce
from tinytorch.dashboards.memoization_dashboard import MemoizationDashboard
from tinytorch.dashboards.memory_figures import memory_breakdown, memory_timeline
from tinytorch.dashboards.profiler_dashboard import ProfilerDashboard
from tinytorch.dashboards.quantization_dashboard import QuantizationDashboard
from tinytorch.dashboards.quantization_figure import quantization_histogram
from tinytorch.dashboards.roofline_figure import roofline
from tinytorch.dashboards.sample_figures import distribution, histogram, scaling_curve
from tinytorch.dashboards.sensitivity_figure import layer_sensitivity
from tinytorch.dashboards.static import show
from tinytorch.dashboards.time_figures import icicle, op_time_bars

__all__ = [
    "Chart",
    "MemoizationDashboard",
    "PlotlyOnce",
    "ProfilerDashboard",
    "QuantizationDashboard",
    "cache_fill",
    "distribution",
    "histogram",
    "icicle",
    "layer_sensitivity",
    "memory_breakdown",
    "memory_timeline",
    "op_time_bars",
    "quantization_histogram",
    "roofline",
    "scaling_curve",
    "show",
]
