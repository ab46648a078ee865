// What a test asks the page. Every function returns plain data.
({
  cells: () => {
    const notebook = window.jupyterapp.shell.currentWidget;
    return [...notebook.content.model.sharedModel.cells]
      .filter((cell) => cell.cell_type === "code")
      .map((cell) => ({
        source: cell.source.split("\n")[0].slice(0, 80),
        executed: cell.execution_count !== null,
        errors: cell.outputs
          .filter((output) => output.output_type === "error")
          .map((output) => `${output.ename}: ${output.evalue}`),
        plots: cell.outputs
          .filter((output) => output.data && "application/vnd.plotly.v1+json" in output.data).length,
        widgets: cell.outputs
          .filter((output) => output.data && "application/vnd.jupyter.widget-view+json" in output.data)
          .length,
      }));
  },

  charts: () => [...document.querySelectorAll(".jp-OutputArea .js-plotly-plot")].map((plot) => {
    const box = plot.querySelector(".main-svg").getBoundingClientRect();
    const holder = plot.parentElement.getBoundingClientRect();
    const named = plot.closest("[role=figure]");
    return {
      title: plot._fullLayout.title.text,
      data: plot._fullData.map((trace) => ({ name: trace.name, x: Array.from(trace.x || trace.values || []) })),
      drawn: JSON.stringify(plot._fullData.map((trace) => ["x", "y", "values", "text"].map(
        (key) => Array.isArray(trace[key]) || ArrayBuffer.isView(trace[key]) ? Array.from(trace[key]) : trace[key]))),
      xRange: plot._fullLayout.xaxis && Array.from(plot._fullLayout.xaxis.range),
      live: plot.classList.contains("tinytorch-chart"),
      label: named && named.getAttribute("aria-label"),
      tabIndex: plot.tabIndex,
      marks: plot.querySelectorAll(".point, .slice, .lines path, .js-line").length,
      top: box.top, bottom: box.bottom, left: box.left, width: box.width, holderWidth: holder.width,
      cut: [...plot.querySelectorAll("svg text")]
        .filter((text) => text.textContent && !text.closest(".modebar") && !text.closest(".hoverlayer"))
        .filter((text) => {
          const at = text.getBoundingClientRect();
          return at.width > 0 && (at.left < box.left - 2 || at.right > box.right + 2
            || at.top < box.top - 2 || at.bottom > box.bottom + 2);
        }).map((text) => text.textContent),
      overlapping: (() => {
        const texts = [...plot.querySelectorAll("svg text")]
          .filter((text) => text.textContent.trim() && !text.closest(".modebar") && !text.closest(".hoverlayer"))
          .filter((text) => getComputedStyle(text).visibility !== "hidden")
          .map((text) => [text.textContent, text.getBoundingClientRect()])
          .filter(([, at]) => at.width > 0);
        const pairs = [];
        texts.forEach(([first, a], i) => texts.slice(i + 1).forEach(([second, b]) => {
          const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
          const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
          if (wide > 2 && high > 3) pairs.push([first, second]);
        }));
        return pairs;
      })(),
      smallest: Math.min(99, ...[...plot.querySelectorAll("svg text")]
        .filter((text) => text.textContent.trim())
        .map((text) => parseFloat(getComputedStyle(text).fontSize))),
    };
  }),

  controls: () => [...document.querySelectorAll(
    ".tinytorch-dashboard select, .tinytorch-dashboard [role=slider], .tinytorch-dashboard button")]
    .filter((control) => !control.closest(".modebar"))
    .map((control) => ({
      tag: control.tagName.toLowerCase(),
      name: control.getAttribute("aria-label")
        || [...(control.labels || [])].map((label) => label.textContent).join(" ")
        || control.textContent,
      value: control.getAttribute("aria-valuetext") || control.value || "",
      tabIndex: control.tabIndex,
    })),

  words: () => [...document.querySelectorAll(".tinytorch-words .widget-html-content")]
    .map((words) => words.textContent),

  dashboardErrors: () => [...document.querySelectorAll(".tinytorch-error")]
    .map((error) => error.textContent),

  viewport: () => {
    const panel = document.querySelector(".jp-WindowedPanel-outer, .jp-Notebook").getBoundingClientRect();
    return { top: panel.top, bottom: Math.min(panel.bottom, window.innerHeight) };
  },
})
