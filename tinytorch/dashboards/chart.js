// One plotly figure: full width at the first draw, the page's light or dark theme, a name for screen readers.
const shared = () => (globalThis.__tinytorchPlotly ??= Promise.withResolvers());

const isDark = () => document.body.dataset.jpThemeLight === "false";
const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

const themed = (figure) => {
  const text = css("--jp-content-font-color1") || (isDark() ? "#eeeeee" : "#212121");
  const quiet = isDark() ? "#4a4a4a" : "#e0e0e0";
  const layout = {
    ...figure.layout,
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { ...(figure.layout.font || {}), color: text },
  };
  for (const key of Object.keys(layout)) {
    if (/^[xy]axis/.test(key)) {
      layout[key] = { ...layout[key], gridcolor: quiet, zerolinecolor: quiet, linecolor: text };
    }
  }
  const ground = css("--jp-layout-color1") || (isDark() ? "#111111" : "#ffffff");
  const control = (given) => ({ ...given, font: { ...(given.font || {}), color: text } });
  const ours = (parts) => parts.map((part) => ({ ...part, execute: false })); // see `playable`
  layout.updatemenus = (layout.updatemenus || []).map((menu) =>
    ({ ...control(menu), bgcolor: ground, buttons: ours(menu.buttons) }));
  layout.sliders = (layout.sliders || []).map((slider) =>
    ({ ...control(slider), bgcolor: quiet, steps: ours(slider.steps) }));
  return layout;
};

// Plays the frames for plotly, which leaves a rejected promise behind each time one animation interrupts
// another, and whose button and slider answer to the mouse alone: Space plays and pauses, the arrows walk.
const playable = (Plotly, plot) => {
  let playing = false;
  const animate = ({ args }) => {
    playing = args[0] === null;
    const mine = Plotly.animate(plot, ...args);
    mine.then(() => { if (args[0] === null) playing = false; }, () => {});
  };
  plot.on("plotly_buttonclicked", ({ button }) => animate(button));
  plot.on("plotly_sliderchange", ({ step, interaction }) => { if (interaction) animate(step); });
  plot.addEventListener("keydown", (event) => {
    const slider = plot._fullLayout?.sliders?.[0];
    const walk = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (!slider || (walk === undefined && event.key !== " ")) return;
    event.preventDefault();
    event.stopPropagation();
    const [play, pause] = plot._fullLayout.updatemenus[0].buttons;
    if (walk === undefined) animate(playing ? pause : play);
    else animate(slider.steps[Math.max(0, Math.min(slider.steps.length - 1, slider.active + walk))]);
  });
};

const describeSteps = (plot) => {
  plot.setAttribute("aria-description", "Space plays and pauses, the arrow keys walk through the steps.");
  plot.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab would take the arrow keys
};

// ipywidgets gives its sliders no name and no spoken value, and nobody is told when the words change.
const speak = (root) => {
  const words = root.querySelector(".tinytorch-words .widget-html-content");
  if (words) words.setAttribute("aria-live", "polite");
  // JupyterLab would take the arrow keys and walk to the next cell.
  for (const control of root.querySelectorAll("select, [role=slider]")) {
    control.setAttribute("data-lm-suppress-shortcuts", "true");
  }
  for (const widget of root.querySelectorAll(".widget-slider")) {
    const label = widget.querySelector(".widget-label");
    const readout = widget.querySelector(".widget-readout");
    for (const handle of widget.querySelectorAll("[role=slider]")) {
      if (label && handle.getAttribute("aria-label") !== label.textContent) {
        handle.setAttribute("aria-label", label.textContent);
      }
      if (readout && handle.getAttribute("aria-valuetext") !== readout.textContent) {
        handle.setAttribute("aria-valuetext", readout.textContent);
      }
    }
  }
};

async function render({ model, el }) {
  const plot = document.createElement("div");
  plot.className = "tinytorch-chart";
  plot.style.width = "100%";
  plot.tabIndex = 0;
  plot.setAttribute("role", "figure");
  const name = () => plot.setAttribute("aria-label", model.get("description_text"));
  name();
  model.on("change:description_text", name);
  plot.textContent = model.get("description_text"); // what is read until the picture is there
  el.appendChild(plot);
  el.style.width = "100%";

  let watching = null;
  const watchControls = () => {
    const root = el.closest(".tinytorch-dashboard");
    if (!root || watching) return;
    watching = new MutationObserver(() => speak(root));
    watching.observe(root, { childList: true, subtree: true, characterData: true });
    speak(root);
  };

  const Plotly = await shared().promise;
  let first = true;
  const draw = async () => {
    const figure = JSON.parse(model.get("figure_json"));
    if (first) plot.textContent = "";
    const { data, frames = [] } = figure;
    await Plotly.react(plot, { data, layout: themed(figure), config: model.get("config"), frames });
    if (first) playable(Plotly, plot);
    first = false;
    if (frames.length) describeSteps(plot);
    watchControls();
  };
  let turn = Promise.resolve();
  const redraw = () => { turn = turn.then(draw, draw); return turn; };
  model.on("change:figure_json", redraw); // before the first draw: no change may fall between
  await redraw();
  const size = new ResizeObserver(() => { if (plot.offsetParent) Plotly.Plots.resize(plot); });
  size.observe(el);
  const theme = new MutationObserver(redraw);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  return () => {
    size.disconnect();
    theme.disconnect();
    if (watching) watching.disconnect();
    Plotly.purge(plot);
  };
}

export default { render };
