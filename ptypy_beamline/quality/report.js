"use strict";
// What the page does: selection, accept and reject, counts, the download.

const qcElement = (id) => document.getElementById(id);

class QcReport {
  constructor(models) {
    Object.assign(this, models); // frames, images, rings, current, view, figures, tools
    this.data = JSON.parse(qcElement("qc-data").textContent);
    this.table = this.frames.data;
    this.first = Uint8Array.from(this.table.rejected);
    this.maps = new QcMaps(this.data.scales, this.table, this.images, this.figures[0]);
    this.pictures = new QcPictures(this.data, qcElement("picture"));
    this.step = 0;
    this.pointed = -1;
    for (const tool of this.tools) { // dragging selects, the wheel zooms
      if (/BoxSelect|WheelZoom/.test(tool.tools[0].type)) tool.active = true;
    }
    this.recall();
    this.listen();
    this.fit();
    this.decided();
    this.refresh();
    this.selected();
  }

  listen() {
    const click = (id, action) => qcElement(id).addEventListener("click", action);
    click("reject", () => this.decide(1));
    click("accept", () => this.decide(0));
    click("reset", () => { this.table.rejected.set(this.first); this.decided(true); });
    click("download", () => this.download());
    click("above", () => {
      const least = Math.fround(Number(qcElement("threshold").value));
      this.choose((row) => this.table.score[row] >= least);
    });
    click("all", () => this.choose(() => true));
    click("previous", () => this.turn(-1));
    click("next", () => this.turn(1));
    qcElement("rings").addEventListener("change", () => this.ring());
    window.addEventListener("beforeunload", (event) => { if (this.unsaved) event.preventDefault(); });
    qcElement("label").addEventListener("change", () => this.filter());
    qcElement("classes").hidden = qcElement("label").options.length < 2;
    window.addEventListener("resize", () => this.fit());
    for (const kind of ["pointerdown", "pointerup"]) {
      window.addEventListener(kind, (event) => { this.adds = event.shiftKey || event.ctrlKey; }, true);
    }
  }

  // Make the maps as large as the window allows, all of one size and true to scale.
  fit() {
    const { frame_width, frame_height } = this.figures[0];
    const shape = frame_height / frame_width, maps = qcElement("maps");
    const page = document.body.clientWidth - 36, aside = page > 1100 ? 448 : 0;
    const wide = (page - aside - (maps.offsetWidth - 2 * frame_width)) / 2;
    const high = (window.innerHeight - maps.offsetTop - 12 - (maps.offsetHeight - 2 * frame_height)) / 2;
    const width = Math.round(Math.max(240 / Math.max(1, shape), Math.min(wide, high / shape)));
    const height = Math.round(width * shape);
    for (const figure of this.figures) {
      if (figure.frame_width !== width) figure.setv({ frame_width: width, frame_height: height });
    }
    const room = window.innerHeight - qcElement("table").offsetTop - 52;
    qcElement("table").style.height = `${Math.max(200, room)}px`;
    const fine = Math.min(2, window.devicePixelRatio || 1);
    this.maps.resize(Math.round(width * fine), Math.round(height * fine));
    this.moved();
  }

  // Repaint the maps, once for all changes since the last time.
  moved() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.maps.place((row) => this.inView(row));
      this.maps.paint(this.frames.selected.indices);
      this.ring();
    });
  }

  inView(row) {
    const { booleans } = this.view.filter;
    return booleans === null || booleans[row];
  }

  choose(test, before = []) {
    const known = new Set(before), rows = Array.from(before);
    for (let row = 0; row < this.table.frame.length; row++) {
      if (this.inView(row) && !known.has(row) && test(row)) rows.push(row);
    }
    this.frames.selected.indices = rows;
  }

  filter() {
    const label = qcElement("label").value;
    this.view.filter.booleans = label === "" ? null
      : Array.from(this.table.label, (value) => value === Number(label));
    this.frames.selected.indices = this.frames.selected.indices.filter((row) => this.inView(row));
    this.refresh();
    this.moved();
    this.ring();
  }

  // Redraw the table: Bokeh does not notice values that were changed in place.
  refresh() {
    this.frames.change.emit();
    this.view.change.emit();
  }

  decide(value) {
    for (const row of this.frames.selected.indices) this.table.rejected[row] = value;
    this.decided(true);
  }

  decided(edited = false) {
    let rejected = 0, changed = 0;
    this.table.rejected.forEach((value, row) => {
      rejected += value;
      changed += value !== this.first[row];
    });
    qcElement("rejected").textContent = rejected.toLocaleString("en");
    qcElement("accepted").textContent = (this.first.length - rejected).toLocaleString("en");
    qcElement("changed").textContent = changed ? ` · ${changed.toLocaleString("en")} changed by hand` : "";
    qcElement("reset").disabled = !changed;
    if (edited) {
      this.remember();
      this.refresh();
      this.show();
    }
    this.ring();
  }

  // Draw a ring around each rejected frame, a little wider than its cell.
  ring() {
    const x = [], y = [], size = [], { cx, cy, w, h } = this.table;
    const wide = qcElement("rings").checked && this.maps.origin ? Math.abs(this.maps.origin.px) : 0;
    const fine = this.maps.width / this.figures[0].frame_width;
    this.table.rejected.forEach((value, row) => {
      if (!value || !wide || !this.inView(row)) return;
      x.push(cx[row]);
      y.push(cy[row]);
      size.push(Math.min(18, Math.max(6, 1.2 * Math.max(w[row], h[row]) / wide / fine)));
    });
    this.rings.data = { x, y, size };
  }

  selected() {
    const count = this.frames.selected.indices.length;
    this.step = 0;
    if (this.maps.origin) this.maps.paint(this.frames.selected.indices);
    qcElement("selected").textContent = `${count.toLocaleString("en")} selected`;
    qcElement("reject").disabled = qcElement("accept").disabled = count === 0;
    this.show();
  }

  // A click selects a frame; with Shift or Ctrl it adds or removes it.
  tap({ x, y }) {
    const row = this.maps.rowAt(x, y), before = Array.from(this.frames.selected.indices);
    if (!this.adds) this.frames.selected.indices = row < 0 ? [] : [row];
    else if (before.includes(row)) this.frames.selected.indices = before.filter((k) => k !== row);
    else if (row >= 0) this.frames.selected.indices = [...before, row];
  }

  // Select the frames inside a box or a lasso.
  within({ geometry, final }) {
    if (!final) return;
    const { cx, cy } = this.table;
    const test = geometry.type === "rect"
      ? (row) => (geometry.x0 - cx[row]) * (geometry.x1 - cx[row]) <= 0
        && (geometry.y0 - cy[row]) * (geometry.y1 - cy[row]) <= 0
      : (row) => qcInside(cx[row], cy[row], geometry.x, geometry.y);
    this.choose(test, this.adds ? this.frames.selected.indices : []);
  }

  point(place) {
    const row = place ? this.maps.rowAt(place.x, place.y) : -1;
    if (row === this.pointed) return;
    this.pointed = row;
    this.show();
  }

  turn(by) {
    const count = this.frames.selected.indices.length;
    this.step = (this.step + by + count) % count;
    this.pointed = -1;
    this.show();
  }

  // Show the frame under the pointer, or else the current one of the selection.
  show() {
    const rows = Array.from(this.frames.selected.indices).sort((a, b) => a - b);
    const row = this.pointed >= 0 ? this.pointed : rows.length ? rows[this.step] : -1;
    qcElement("steps").style.visibility = rows.length > 1 && this.pointed < 0 ? "visible" : "hidden";
    qcElement("place").textContent = `${this.step + 1} of ${rows.length} selected`;
    qcElement("hint").hidden = row >= 0;
    this.current.data = row < 0 ? { x: [], y: [] } : { x: [this.table.cx[row]], y: [this.table.cy[row]] };
    this.describe(row);
    this.pictures.draw(row, this.table.frame[row]);
    qcElement("counts").style.visibility = this.canShow(row) ? "visible" : "hidden";
  }

  // Whether a row has a picture; if so, also label its colour scale.
  canShow(row) {
    const { sheet, pictures, top } = this.data, large = this.table.frame[row] in pictures;
    qcElement("top").textContent = large
      ? top.toLocaleString("en", { maximumSignificantDigits: 3 }) : "the scan's highest";
    return row >= 0 && (large || row < sheet.count);
  }

  describe(row) {
    const table = this.table, { unit, decimals } = this.data.scales;
    const about = row < 0 ? [] : [
      ["frame", table.frame[row]],
      ["state", table.rejected[row] ? "rejected" : "accepted"],
      ["score", table.score[row].toFixed(4)],
      ["deviation", table.deviation[row].toFixed(1)],
      ["reason", table.reason[row]],
      ["STXM, log", table.stxm[row].toLocaleString("en", { maximumSignificantDigits: 4 })],
      ["DPC-X", `${table.dpcx[row].toFixed(3)} px`],
      ["DPC-Y", `${table.dpcy[row].toFixed(3)} px`],
      ["x", `${table.x[row].toFixed(decimals)} ${unit}`],
      ["y", `${table.y[row].toFixed(decimals)} ${unit}`],
    ];
    if (row >= 0 && table.label[row] >= 0) about.push(["class", table.label[row]]);
    qcElement("about").replaceChildren(...about.flatMap(([name, value]) => {
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name;
      text.textContent = value;
      text.className = name === "state" && table.rejected[row] ? "bad" : "";
      return [term, text];
    }));
  }

  // Save the decisions in the form of ptypy_indices.json, which names the scan.
  download() {
    const decided = (value) => Array.from(this.table.frame)
      .filter((_, row) => this.table.rejected[row] === value).sort((a, b) => a - b);
    const list = { ...this.data.listed, accepted_indices: decided(0), rejected_indices: decided(1) };
    const file = new Blob([JSON.stringify(list, null, 1)], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = qcElement("download").dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }

  // Keep decisions in the browser; where that is impossible, closing the page asks first.
  remember() {
    const edits = {};
    this.table.rejected.forEach((value, row) => {
      if (value !== this.first[row]) edits[this.table.frame[row]] = value;
    });
    const some = Object.keys(edits).length > 0;
    try {
      if (some) localStorage.setItem(this.key(), JSON.stringify(edits));
      else localStorage.removeItem(this.key());
      this.unsaved = false;
    } catch { // the browser does not allow it
      this.unsaved = some;
    }
  }

  // Decisions are kept separately for each run of qc on the same file.
  key() {
    return `qc ${location.pathname} ${this.data.key}`;
  }

  recall() {
    let edits = {};
    try { edits = JSON.parse(localStorage.getItem(this.key())) ?? {}; } catch { /* none */ }
    this.table.frame.forEach((frame, row) => {
      if (frame in edits) this.table.rejected[row] = edits[frame];
    });
  }
}

window.qcStart = (models) => {
  window.qc = new QcReport(models);
  document.documentElement.dataset.ready = "yes";
  performance.mark("ready");
};
