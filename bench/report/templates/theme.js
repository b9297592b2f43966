// before the page is drawn, so that a dark page never flashes white
(() => {
  let kept = null;
  try { kept = localStorage.getItem("gdjax-theme"); } catch { kept = null; }  // some browsers refuse it to files
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = kept || (dark ? "dark" : "light");
})();
