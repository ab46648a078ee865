// Brings plotly.js to the page once. Every chart on the page waits for `shared().promise`.
// Several of these widgets may live on one page (one a kernel): the first one wins.
const shared = () => (globalThis.__tinytorchPlotly ??= Promise.withResolvers());

const unzip = async (view) => {
  const stream = new Blob([view]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
};

async function initialize({ model }) {
  const slot = shared();
  if (slot.started) return;
  slot.started = true;
  const source = await unzip(model.get("packed"));
  const before = globalThis.Plotly;
  const module = { exports: {} };
  // The bundle looks for `module` first: hand it one of ours, so that no other loader on the page is met.
  new Function("module", "exports", "define", source)(module, module.exports, undefined);
  globalThis.Plotly = before;
  slot.resolve(module.exports);
}

export default { initialize };
