/* draw.md: strokes on a canvas become 8 x 8 grey values, as those of the digits that the network was trained on: the
 * drawing's bounding box as a bitmap of 32 x 32, counted in blocks of 4 x 4. */
"use strict";

const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function openModel() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = fromBase64(window.ortBinary).buffer;
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(new Blob([fromBase64(window.ortGlue)], { type: "text/javascript" })) };
  return ort.InferenceSession.create(fromBase64(window.digitModel), { executionProviders: ["wasm"] });
}

function greyValues(canvas) {
  const { width, height } = canvas;
  const alpha = canvas.getContext("2d").getImageData(0, 0, width, height).data.filter((_, at) => at % 4 === 3);
  let [left, right, top, bottom] = [width, -1, height, -1];
  alpha.forEach((value, at) => {
    if (value > 127) {
      const [x, y] = [at % width, Math.floor(at / width)];
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
  });
  if (right < 0) return null;
  const size = Math.max(right - left, bottom - top) + 1;
  const [x0, y0] = [(left + right + 1 - size) / 2, (top + bottom + 1 - size) / 2];
  const grey = new Float32Array(64);
  for (let row = 0; row < 32; row++) {
    for (let column = 0; column < 32; column++) {
      const x = Math.floor(x0 + ((column + 0.5) * size) / 32), y = Math.floor(y0 + ((row + 0.5) * size) / 32);
      if (x >= 0 && x < width && y >= 0 && y < height && alpha[y * width + x] > 127)
        grey[Math.floor(row / 4) * 8 + Math.floor(column / 4)] += 1 / 16;
    }
  }
  return grey;
}

async function setUp() {
  const canvas = document.getElementById("draw"), answer = document.getElementById("answer");
  const bars = document.getElementById("bars");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const session = await openModel();
  context.lineWidth = canvas.width / 11;
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = "#2a5adf";

  async function read() {
    const grey = greyValues(canvas);
    if (!grey) return;
    const { output } = await session.run({ X: new ort.Tensor("float32", grey, [1, 64]) });
    const best = output.data.indexOf(Math.max(...output.data));
    answer.textContent = `${best} (${Math.round(100 * output.data[best])} %)`;
    answer.dataset.digit = best;
    [...bars.children].forEach((bar, digit) => bar.style.setProperty("--part", output.data[digit]));
  }

  let drawing = false;
  const place = (event) => [(event.offsetX * canvas.width) / canvas.clientWidth, (event.offsetY * canvas.height) / canvas.clientHeight];
  canvas.addEventListener("pointerdown", (event) => {
    drawing = true;
    canvas.setPointerCapture(event.pointerId);
    context.beginPath();
    context.moveTo(...place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drawing) return;
    context.lineTo(...place(event));
    context.stroke();
  });
  canvas.addEventListener("pointerup", () => { drawing = false; read(); });
  document.getElementById("clear").addEventListener("click", () => {
    context.clearRect(0, 0, canvas.width, canvas.height);
    answer.textContent = "draw a digit";
    delete answer.dataset.digit;
    [...bars.children].forEach((bar) => bar.style.setProperty("--part", 0));
  });
  answer.textContent = "draw a digit";
  canvas.dataset.ready = "";
}

setUp().catch((error) => { document.getElementById("answer").textContent = `The network could not be opened: ${error.message}`; });
