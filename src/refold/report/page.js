"use strict";
// Draws the plots of a report. Their data is JSON in the page.
(() => {
  const plots = JSON.parse(document.getElementById("plots").textContent);
  const config = {
    displaylogo: false,
    responsive: true,
    displayModeBar: "hover",
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]], // no button sends data to a server
  };
  const phoneQuery = window.matchMedia("(max-width: 50rem)");
  const darkQuery = window.matchMedia("(prefers-color-scheme: dark)");

  // Colors and fonts of all plots, from the style sheet, in light or dark mode.
  function makeTemplate() {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => style.getPropertyValue(name).trim();
    const axis = {
      gridcolor: color("--grid"),
      linecolor: color("--line"),
      zerolinecolor: color("--line"),
      tickcolor: color("--line"),
      automargin: true,
      title: { standoff: 8 },
      exponentformat: "none", // 0.00015 rather than 150μ
    };
    const transparent = "rgba(0,0,0,0)";
    return {
      layout: {
        font: { family: color("--sans"), size: 12.5, color: color("--ink") },
        paper_bgcolor: transparent,
        plot_bgcolor: transparent,
        xaxis: axis,
        yaxis: axis,
        hoverlabel: {
          bgcolor: color("--card"),
          bordercolor: color("--line"),
          font: { family: color("--sans"), size: 13, color: color("--ink") },
          align: "left",
          namelength: 60,
        },
        legend: { bgcolor: transparent, font: { size: 12 } },
        modebar: { bgcolor: transparent, color: color("--soft"), activecolor: color("--accent") },
      },
    };
  }

  // each div has the index of its plot
  const divs = [...document.querySelectorAll(".plot")];
  function draw(div) {
    const { data, layout, narrow } = plots[Number(div.dataset.plot)];
    const chosenLayout = phoneQuery.matches ? narrow : layout;
    div.style.height = `${chosenLayout.height}px`;
    // a copy, because Plotly changes the layout
    Plotly.react(div, data, { ...structuredClone(chosenLayout), template: makeTemplate() }, config);
  }
  divs.forEach(draw);
  phoneQuery.addEventListener("change", () => divs.forEach(draw));
  darkQuery.addEventListener("change", () => divs.forEach((div) => Plotly.relayout(div, { template: makeTemplate() })));

  // each button of a card shows one view and hides the others
  for (const button of document.querySelectorAll(".switch button")) {
    button.addEventListener("click", () => {
      const card = button.closest(".card");
      for (const option of card.querySelectorAll(".switch button")) {
        option.setAttribute("aria-pressed", String(option === button));
      }
      for (const view of card.querySelectorAll(".view")) {
        view.hidden = view.dataset.view !== button.dataset.view;
        if (!view.hidden) view.querySelectorAll(".plot").forEach((div) => Plotly.Plots.resize(div));
      }
    });
  }
})();
