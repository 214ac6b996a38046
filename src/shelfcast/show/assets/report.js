"use strict";
(() => {
  const root = document.documentElement, get = (id) => document.getElementById(id);
  root.classList.add("js");

  // Light and dark: as the system says until the reader chooses; #dark and #light choose by address.
  const theme = get("theme"), system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  const byAddress = () => { const m = /^#(dark|light)$/.exec(location.hash); if (m) root.dataset.theme = m[1]; };
  byAddress();
  addEventListener("hashchange", byAddress);
  theme.hidden = false;
  theme.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; });

  // A read-out over each fan chart, by pointer or arrow keys. It reads the table under the chart: one source of numbers.
  for (const svg of document.querySelectorAll("svg.fan")) {
    const plot = svg.parentElement, table = get(svg.dataset.table);
    if (!table) continue;
    const rows = table.tBodies[0].rows, heads = [...table.tHead.rows[0].cells].map((c) => c.textContent);
    const top = +svg.dataset.top, tall = +svg.dataset.tall;
    let tip, rule, at = -1;
    const hide = () => { if (tip) { tip.hidden = rule.hidden = true; } at = -1; };
    const show = (i) => {
      if (!tip) {
        tip = document.createElement("div"); tip.className = "tip"; tip.setAttribute("role", "status");
        rule = document.createElement("div"); rule.className = "rule"; rule.style.top = top + "px"; rule.style.height = tall + "px";
        plot.append(rule, tip);
      }
      at = Math.max(0, Math.min(rows.length - 1, i));
      const cells = rows[at].cells, width = svg.clientWidth, x = width * (at + 0.5) / rows.length;
      tip.replaceChildren();
      const head = document.createElement("b"); head.textContent = cells[0].textContent.trim(); tip.append(head);
      for (let k = 1; k < cells.length; k++) {
        const value = cells[k].textContent.trim();
        if (!value) continue;
        const line = document.createElement("div"), name = document.createElement("span"), number = document.createElement("span");
        name.textContent = k === heads.length - 1 ? "" : heads[k];
        number.textContent = value; number.style.color = "var(--ink)";
        line.append(name, number); tip.append(line);
      }
      tip.hidden = rule.hidden = false;
      rule.style.left = x + "px";
      const half = x > width / 2;
      tip.style.left = half ? "" : x + 12 + "px";
      tip.style.right = half ? width - x + 12 + "px" : "";
    };
    const move = (e) => {
      const box = svg.getBoundingClientRect();
      show(Math.floor((e.clientX - box.left) / box.width * rows.length));
    };
    plot.tabIndex = 0;
    plot.setAttribute("aria-label", "Chart: arrow keys read the numbers one by one");
    plot.setAttribute("role", "group");
    plot.addEventListener("pointermove", move);
    plot.addEventListener("pointerdown", move);
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("focus", () => { if (at < 0 && plot.matches(":focus-visible")) show(table.querySelector("tr.next").sectionRowIndex); });
    plot.addEventListener("keydown", (e) => {
      const step = {ArrowLeft: -1, ArrowRight: 1, PageUp: -7, PageDown: 7}[e.key];
      if (step) show((at < 0 ? table.querySelector("tr.next").sectionRowIndex : at) + step);
      else if (e.key === "Home") show(0);
      else if (e.key === "End") show(rows.length - 1);
      else if (e.key === "Escape") hide();
      else return;
      e.preventDefault();
    });
  }

  // One series at a time.
  const picker = get("picker"), choose = get("choose"), search = get("search");
  if (picker) {
    const all = [...choose.options], parts = [...document.querySelectorAll(".series")];
    const show = () => parts.forEach((p) => { p.hidden = p.dataset.series !== choose.value; });
    const step = (by) => {
      const n = choose.options.length;
      if (n) { choose.selectedIndex = (choose.selectedIndex + by + n) % n; show(); }
    };
    picker.hidden = false;
    choose.addEventListener("change", show);
    get("previous").addEventListener("click", () => step(-1));
    get("following").addEventListener("click", () => step(1));
    search.addEventListener("input", () => {
      const wanted = search.value.toLowerCase(), kept = all.filter((o) => o.text.toLowerCase().includes(wanted));
      choose.replaceChildren(...kept);
      choose.disabled = !kept.length;
      if (kept.length) { choose.selectedIndex = 0; show(); }
    });
    show();
    addEventListener("beforeprint", () => parts.forEach((p) => { p.hidden = false; }));
    addEventListener("afterprint", show);
  }
})();
