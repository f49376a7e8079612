// @ts-check
/** The mixer in the browser's audio thread. Outputs: 0 what is heard, 1 the result, 2 the original. */

import { Mixer } from "./mixer.js";

const BLOCKS_PER_REPORT = 8;
const scope = /** @type {any} */ (globalThis); // the audio thread's scope, of which TypeScript knows nothing

class MixerProcessor extends scope.AudioWorkletProcessor {
  /** @param {{processorOptions: {rate: number, total: number, chunk_s: number}}} options */
  constructor(options) {
    super();
    this.mixer = new Mixer(options.processorOptions);
    this.blocks = 0;
    this.port.onmessage = (/** @type {MessageEvent} */ event) => this.mixer.obey(event.data);
  }

  /** @param {unknown} _inputs @param {Float32Array[][]} outputs */
  process(_inputs, outputs) {
    this.mixer.render(outputs[0], outputs[1], outputs[2]);
    this.blocks += 1;
    if (this.blocks % BLOCKS_PER_REPORT === 0) {
      const frame = scope.currentFrame + outputs[0][0].length;
      this.port.postMessage({ ...this.mixer.report(), frame });
    }
    return true;
  }
}

scope.registerProcessor("mixer", MixerProcessor);
