"use strict";
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const config = {
    displaylogo: false, responsive: true, displayModeBar: "hover",
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]], // no button sends data to a server
  };
  const phone = window.matchMedia("(max-width: 50rem)");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  function template() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = {
      gridcolor: colour("--grid"), linecolor: colour("--line"), zerolinecolor: colour("--line"),
      tickcolor: colour("--line"), automargin: true, title: { standoff: 8 },
      exponentformat: "none", // 0.00015 rather than 150μ
    };
    const clear = "rgba(0,0,0,0)";
    return {
      layout: {
        font: { family: colour("--sans"), size: 12.5, color: colour("--ink") },
        paper_bgcolor: clear, plot_bgcolor: clear, xaxis: axis, yaxis: axis,
        hoverlabel: {
          bgcolor: colour("--card"), bordercolor: colour("--line"),
          font: { family: colour("--sans"), size: 13, color: colour("--ink") }, align: "left", namelength: 60,
        },
        legend: { bgcolor: clear, font: { size: 12 } },
        modebar: { bgcolor: clear, color: colour("--soft"), activecolor: colour("--accent") },
      },
    };
  }

  const divs = [...document.querySelectorAll(".plot")];
  function draw(div) {
    const { data, layout, narrow } = plots[Number(div.dataset.plot)];
    const fitting = phone.matches ? narrow : layout;
    div.style.height = `${fitting.height}px`;
    Plotly.react(div, data, { ...structuredClone(fitting), template: template() }, config);
  }
  divs.forEach(draw);
  phone.addEventListener("change", () => divs.forEach(draw));
  dark.addEventListener("change", () => divs.forEach((div) => Plotly.relayout(div, { template: template() })));

  for (const button of document.querySelectorAll(".switch button")) {
    button.addEventListener("click", () => {
      const card = button.closest(".card");
      for (const other of card.querySelectorAll(".switch button")) {
        other.setAttribute("aria-pressed", String(other === button));
      }
      card.querySelectorAll(".view").forEach((view) => {
        view.hidden = view.dataset.view !== button.dataset.view;
        view.querySelectorAll(".plot").forEach((div) => { if (!view.hidden) Plotly.Plots.resize(div); });
      });
    });
  }
})();
