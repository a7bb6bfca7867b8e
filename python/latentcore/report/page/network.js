"use strict";
// Decoders, latent operators and mixtures, evaluated as torch does. A map is its values in the order (channel, row,
// column), as float64, and its height and width.

const unpacked = {
  bytes(text) {
    const raw = atob(text);
    return Uint8Array.from(raw, (letter) => letter.charCodeAt(0)).buffer;
  },
  floats: (text) => new Float32Array(unpacked.bytes(text)),
  // whole numbers, times a factor for each output
  weights({ scale, values }) {
    const factors = unpacked.floats(scale);
    const whole = new Int16Array(unpacked.bytes(values));
    const each = whole.length / factors.length;
    return Float32Array.from(whole, (value, i) => value * factors[Math.floor(i / each)]);
  },
};

// Abramowitz and Stegun 7.1.26, to 1.5e-7
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

const activations = {
  relu: () => (x) => Math.max(0, x),
  leaky_relu: ({ slope }) => (x) => (x > 0 ? x : slope * x),
  elu: ({ slope }) => (x) => (x > 0 ? x : slope * Math.expm1(x)),
  silu: () => (x) => x * sigmoid(x),
  gelu: () => (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  tanh: () => Math.tanh,
};

function linear(layer) {
  const weight = unpacked.weights(layer), bias = unpacked.floats(layer.bias), { inputs, outputs } = layer;
  return ({ values }) => {
    const found = new Float64Array(outputs);
    for (let o = 0; o < outputs; o++) {
      let sum = bias[o];
      for (let i = 0, at = o * inputs; i < inputs; i++, at++) sum += weight[at] * values[i];
      found[o] = sum;
    }
    return { values: found, height: 1, width: 1 };
  };
}

// Each weight of a kernel adds a shifted, scaled copy of an input channel to an output channel. `pairs` are the places
// (input, output) that the k-th weight of a kernel joins along one axis.
function kernels(layer, size, pairs) {
  const weight = unpacked.weights(layer), bias = unpacked.floats(layer.bias), { inputs, outputs, kernel } = layer;
  return ({ values, height, width }) => {
    const H = size(height), W = size(width), found = new Float64Array(outputs * H * W);
    const rows = [], columns = [];
    for (let k = 0; k < kernel; k++) {
      rows.push(pairs(k, height, H));
      columns.push(pairs(k, width, W));
    }
    for (let o = 0; o < outputs; o++) {
      found.fill(bias[o], o * H * W, (o + 1) * H * W);
      for (let i = 0; i < inputs; i++) {
        for (let ky = 0; ky < kernel; ky++) {
          for (let kx = 0; kx < kernel; kx++) {
            const factor = weight[((o * inputs + i) * kernel + ky) * kernel + kx];
            for (const [y, Y] of rows[ky]) {
              const from = (i * height + y) * width, to = (o * H + Y) * W;
              for (const [x, X] of columns[kx]) found[to + X] += factor * values[from + x];
            }
          }
        }
      }
    }
    return { values: found, height: H, width: W };
  };
}

function convolution(layer) {
  const { kernel, stride, padding } = layer;
  const size = (before) => Math.floor((before + 2 * padding - kernel) / stride) + 1;
  return kernels(layer, size, (k, before, after) => {
    const found = [];
    for (let to = 0; to < after; to++) {
      const from = to * stride - padding + k;
      if (from >= 0 && from < before) found.push([from, to]);
    }
    return found;
  });
}

function transposed(layer) {
  const { kernel, stride, padding, extra } = layer;
  const size = (before) => (before - 1) * stride - 2 * padding + kernel + extra;
  return kernels(layer, size, (k, before, after) => {
    const found = [];
    for (let from = 0; from < before; from++) {
      const to = from * stride - padding + k;
      if (to >= 0 && to < after) found.push([from, to]);
    }
    return found;
  });
}

function scale(layer) {
  const factor = unpacked.floats(layer.factor), shift = unpacked.floats(layer.shift);
  return ({ values, height, width }) => {
    const each = height * width;
    const found = values.map((value, i) => value * factor[Math.floor(i / each)] + shift[Math.floor(i / each)]);
    return { values: found, height, width };
  };
}

function residual(layer) {
  const body = network(layer.layers);
  return (map) => ({ ...map, values: body(map).values.map((value, i) => value + map.values[i]) });
}

function shape({ shape: [, height, width] }) {
  return ({ values }) => ({ values, height, width });
}

const layerKinds = { linear, convolution, transposed, scale, residual, shape };

// The layers of latentcore.report.network as a function of a map.
function network(layers) {
  const steps = layers.map((layer) => {
    if (layer.kind in layerKinds) return layerKinds[layer.kind](layer);
    const activate = activations[layer.kind](layer);
    return (map) => ({ ...map, values: map.values.map(activate) });
  });
  return (map) => steps.reduce((before, step) => step(before), map);
}

const vector = (values) => ({ values: Float64Array.from(values), height: 1, width: 1 });

// Pixels in [0, 1] of latents, and of the class where the decoder is told one.
function decoder({ decoder: layers, classes }) {
  const run = network(layers);
  return (z, label) => {
    const told = Array.from({ length: classes }, (_, place) => Number(place === label));
    return run(vector([...z, ...told])).values.map(sigmoid);
  };
}

// The log-likelihood of latents, and the probability of each class.
function mixture(packed) {
  const weights = unpacked.floats(packed.weights), means = unpacked.floats(packed.means);
  const factors = unpacked.floats(packed.factors), table = unpacked.floats(packed.table);
  const K = weights.length, D = means.length / K, C = packed.classes.length;
  return (z) => {
    const logs = Array.from({ length: K }, (_, k) => {
      let sum = Math.log(weights[k]) - 0.5 * D * Math.log(2 * Math.PI);
      for (let j = 0; j < D; j++) {
        let along = 0;
        for (let i = 0; i < D; i++) along += (z[i] - means[k * D + i]) * factors[(k * D + i) * D + j];
        sum += Math.log(factors[(k * D + j) * D + j]) - 0.5 * along * along;
      }
      return sum;
    });
    const largest = Math.max(...logs), shares = logs.map((log) => Math.exp(log - largest));
    const total = shares.reduce((a, b) => a + b, 0), classes = new Array(C).fill(0);
    shares.forEach((share, k) => classes.forEach((_, c) => (classes[c] += (share / total) * table[k * C + c])));
    return { logLikelihood: largest + Math.log(total), classes };
  };
}

const radians = (degrees) => ((((degrees % 360) + 360) % 360) * Math.PI) / 180;

// Latents turned by degrees, as models/equivariant.py and models/latent.py turn them.
const operators = {
  equivariant({ basis, frequencies, chart }) {
    const Q = unpacked.floats(basis), turns = unpacked.floats(frequencies), L = Math.sqrt(Q.length);
    const couplings = chart.map(({ cut, flipped, network: layers }) => {
      const run = network(layers);
      return (z, sign) => {
        const read = flipped ? z.slice(cut) : z.slice(0, cut), moved = run(vector(read)).values;
        return z.map((value, i) => value + sign * ((flipped ? moved[i] : moved[i - cut]) ?? 0));
      };
    });
    return (z, degrees) => {
      let now = couplings.reduce((before, couple) => couple(before, 1), Array.from(z));
      now = now.map((_, j) => now.reduce((sum, value, i) => sum + value * Q[i * L + j], 0));
      turns.forEach((frequency, plane) => {
        const angle = radians(degrees) * frequency, [x, y] = now.slice(2 * plane, 2 * plane + 2);
        now[2 * plane] = Math.cos(angle) * x - Math.sin(angle) * y;
        now[2 * plane + 1] = Math.sin(angle) * x + Math.cos(angle) * y;
      });
      now = now.map((_, j) => now.reduce((sum, value, i) => sum + value * Q[j * L + i], 0));
      return couplings.reduceRight((before, couple) => couple(before, -1), now);
    };
  },
  mlp({ network: layers }) {
    const run = network(layers);
    return (z, degrees) => {
      const angle = radians(degrees), told = [Math.cos(angle) - 1, Math.sin(angle), 0, 0, 0];
      const size = Math.min(1, Math.hypot(...told)), moved = run(vector([...z, ...told])).values;
      return Array.from(z, (value, i) => value + size * moved[i]);
    };
  },
  step({ network: layers, step, turn }) {
    const run = network(layers);
    return (z, degrees) => {
      let now = Array.from(z);
      const steps = ((Math.round(degrees / step) % turn) + turn) % turn;
      for (let done = 0; done < steps; done++) {
        const moved = run(vector(now)).values;
        now = now.map((value, i) => value + moved[i]);
      }
      return now;
    };
  },
};
