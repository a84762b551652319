"use strict";
// Shows and hides what is on the page. Text of the data set is only ever read as text.
const all = (query, root = document) => [...root.querySelectorAll(query)];
const things = all(".o");
const cards = all("figure");
const tip = document.getElementById("tip");
const checked = (id) => document.getElementById(id)?.checked ?? false;

function update() {
  const labels = new Set(all("[data-label]").filter((box) => box.checked).map((box) => box.dataset.label));
  const least = Number(document.getElementById("confidence")?.value ?? 0);
  const side = document.querySelector("input[name=side]:checked")?.value ?? "both";
  const different = checked("different");
  for (const thing of things) {
    const { l, s, d, c } = thing.dataset;
    const shown = labels.has(l) && (side === "both" || s === side) && !(c && Number(c) < least)
      && !(different && d === "same");
    thing.classList.toggle("off", !shown);
  }
  const filtered = checked("filled");
  let count = 0;
  for (const card of cards) {
    const empty = !all(".o", card).some((thing) => !thing.classList.contains("off"));
    card.classList.toggle("off", filtered && empty);
    count += all(".o:not(.off)", card).length;
  }
  document.getElementById("shown").textContent = `${count} of ${things.length} shown`;
  const output = document.getElementById("least");
  if (output) output.textContent = least ? `from ${least.toFixed(2)}` : "all";
  document.body.classList.toggle("nameless", !checked("names"));
  document.body.classList.toggle("plain", !checked("fill"));
}

for (const input of all("aside input")) input.addEventListener("input", update);
for (const [id, value] of [["every", true], ["none", false]]) {
  document.getElementById(id)?.addEventListener("click", () => {
    for (const box of all("[data-label]")) box.checked = value;
    update();
  });
}
document.addEventListener("pointermove", (event) => {
  const thing = event.target.closest?.(".o");
  const text = thing?.querySelector("desc")?.textContent;
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const x = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const y = Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8);
  tip.style.left = `${Math.max(0, x)}px`;
  tip.style.top = `${Math.max(0, y)}px`;
});
function enlarge(card, on) {
  if (card.classList.contains("big") === on) return;
  const frame = card.querySelector("svg.marks");
  const size = () => frame.getScreenCTM().a;
  const before = size();
  card.classList.toggle("big", on);
  // Names and points stay as large as they were on the screen.
  const factor = before / size();
  for (const text of all("text", frame)) text.setAttribute("font-size", text.getAttribute("font-size") * factor);
  for (const dot of all("circle", frame)) dot.setAttribute("r", dot.getAttribute("r") * factor);
}
for (const card of cards) {
  card.addEventListener("click", () => {
    const big = card.classList.contains("big");
    for (const other of cards) enlarge(other, other === card && !big);
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") for (const card of cards) enlarge(card, false);
});
update();
