"use strict";
// What the page draws: pictures of frames and the four maps.

// Whether a point is inside a polygon: a ray from it crosses the outline an odd number of times.
function qcInside(x, y, xs, ys) {
  let inside = false;
  for (let k = 0, j = xs.length - 1; k < xs.length; j = k++) {
    const crosses = ys[k] > y !== ys[j] > y;
    if (crosses && x < (xs[j] - xs[k]) * (y - ys[k]) / (ys[j] - ys[k]) + xs[k]) inside = !inside;
  }
  return inside;
}

// Draws the picture of a row: the large one if there is one, else its tile.
class QcPictures {
  constructor(data, canvas) {
    this.data = data;
    this.canvas = canvas;
    this.images = new Map();
  }

  image(url) {
    if (!this.images.has(url)) {
      const image = new Image();
      image.src = url;
      this.images.set(url, image.decode().then(() => image));
    }
    return this.images.get(url);
  }

  async draw(row, frame) {
    this.wanted = row;
    const { sheet, pictures } = this.data;
    const large = frame in pictures;
    const image = row < 0 || !(large || row < sheet.count)
      ? null : await this.image(large ? pictures[frame] : sheet.url);
    if (row !== this.wanted) return; // another row was requested meanwhile
    const pen = this.canvas.getContext("2d");
    const size = this.canvas.width;
    pen.imageSmoothingEnabled = false;
    pen.clearRect(0, 0, size, size);
    this.canvas.dataset.frame = image ? frame : "";
    this.canvas.dataset.kind = image ? (large ? "large" : "tile") : "";
    if (!image) return;
    const side = sheet.side, column = row % sheet.columns, line = Math.floor(row / sheet.columns);
    const [x, y, w, h] = large ? [0, 0, image.naturalWidth, image.naturalHeight]
      : [column * side, line * side, side, side];
    const scale = size / Math.max(w, h);
    pen.drawImage(image, x, y, w, h, (size - w * scale) / 2, (size - h * scale) / 2,
      w * scale, h * scale);
  }
}

// Paints the maps: each pixel has the colour of the nearest frame within reach.
class QcMaps {
  constructor(scales, table, images, figure) {
    Object.assign(this, { scales, table, images, figure });
    this.levels = {};
    for (const [name, [low, high]] of Object.entries(scales.panels)) {
      this.levels[name] = Uint8Array.from(table[name], (value) => Number.isNaN(value) ? 0
        : 1 + Math.min(scales.shades - 1, Math.max(0, Math.floor((value - low) / (high - low) * scales.shades))));
    }
  }

  resize(width, height) {
    Object.assign(this, { width, height });
    this.rows = new Int32Array(width * height);
    this.near = new Float64Array(width * height);
    const data = this.images.data;
    for (const name of Object.keys(this.levels)) {
      const kind = data[name][0].constructor; // Bokeh's own array with a shape
      data[name][0] = new kind(new Uint8Array(width * height), [height, width]);
    }
  }

  // Find which row of the table each pixel shows.
  place(inView) {
    const { cx, cy, w, h } = this.table, { reach, step, bounds } = this.scales;
    const { width, height, rows, near } = this;
    const left = this.figure.x_range.start, top = this.figure.y_range.end;
    const px = (this.figure.x_range.end - left) / width, py = (this.figure.y_range.start - top) / height;
    this.origin = { left, top, px, py };
    rows.fill(-1);
    near.fill(Infinity);
    const span = (low, high, start, pixel, count) => [
      Math.max(0, Math.ceil((low - start) / pixel - 0.5)),
      Math.min(count - 1, Math.floor((high - start) / pixel - 0.5))];
    for (let row = 0; row < cx.length; row++) {
      if (!inView(row)) continue;
      const x = cx[row], y = cy[row], rx = reach * w[row], ry = reach * h[row];
      const [c0, c1] = span(Math.max(x - rx, bounds[0]), Math.min(x + rx, bounds[1]), left, px, width);
      const [l0, l1] = span(Math.max(y - ry, bounds[2]), Math.min(y + ry, bounds[3]), top, py, height);
      const most = Math.max(rx / step[0], ry / step[1]) ** 2;
      for (let line = l0; line <= l1; line++) {
        const dy = ((top + (line + 0.5) * py - y) / step[1]) ** 2;
        for (let column = c0; column <= c1; column++) {
          const d = dy + ((left + (column + 0.5) * px - x) / step[0]) ** 2;
          const pixel = line * width + column;
          if (d < near[pixel] - 1e-9 && d <= most) { // of equally near frames the first, for straight edges
            near[pixel] = d;
            rows[pixel] = row;
          }
        }
      }
    }
  }

  paint(selected) {
    const { rows, table, images, scales, origin, width, height } = this;
    const shift = new Uint8Array(table.cx.length).fill(selected.length ? 2 * scales.shades : 0);
    for (const row of selected) shift[row] = 0;
    table.masked.forEach((inside, row) => { if (!inside) shift[row] = scales.shades; });
    for (const [name, levels] of Object.entries(this.levels)) {
      const shades = levels.map((level, row) => level ? level + shift[row] : 0);
      const image = images.data[name][0];
      for (let pixel = 0; pixel < rows.length; pixel++) {
        image[pixel] = rows[pixel] < 0 ? 0 : shades[rows[pixel]];
      }
    }
    images.data.x[0] = origin.left;
    images.data.y[0] = origin.top;
    images.data.w[0] = origin.px * width;
    images.data.h[0] = origin.py * height;
    images.change.emit();
  }

  // The row that is drawn at a point, −1 if there is none.
  rowAt(x, y) {
    if (!this.origin) return -1; // nothing is painted yet
    const { left, top, px, py } = this.origin;
    const column = Math.floor((x - left) / px), line = Math.floor((y - top) / py);
    const inside = column >= 0 && line >= 0 && column < this.width && line < this.height;
    return inside ? this.rows[line * this.width + column] : -1;
  }
}
