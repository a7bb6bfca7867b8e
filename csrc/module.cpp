// latentcore._C: facts about the build, the SIMD level, and hooks for known-answer tests. No tensors.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "cpu/elementary.h"
#include "cpu/simd/levels.h"
#include "cpu/vae_loss.h"
#include "math/philox.h"

namespace {

namespace py = pybind11;
using latentcore::SimdLevel;

constexpr std::array<std::pair<const char*, SimdLevel>, 3> kLevels{{
    {"baseline", SimdLevel::baseline},
    {"avx2", SimdLevel::avx2},
    {"avx512", SimdLevel::avx512},
}};

std::string level_name(SimdLevel level) {
  for (const auto& [name, value] : kLevels) {
    if (value == level) return name;
  }
  throw std::logic_error("unknown SIMD level");
}

std::vector<std::string> supported_levels() {
  std::vector<std::string> names;
  for (const auto& [name, value] : kLevels) {
    if (value <= latentcore::best_simd_level()) names.emplace_back(name);
  }
  return names;
}

void set_level(const std::string& wanted) {
  for (const auto& [name, value] : kLevels) {
    if (name == wanted && value <= latentcore::best_simd_level()) {
      latentcore::set_simd_level(value);
      return;
    }
  }
  throw py::value_error("level: expected one of " + std::string(py::str(py::cast(supported_levels()))) + ", got '" +
                        wanted + "'");
}

py::dict build_info() {
  py::dict info;
  info["compiler"] = LATENTCORE_COMPILER;
  info["build_type"] = LATENTCORE_BUILD_TYPE;
  info["torch"] = LATENTCORE_TORCH_VERSION;
  info["torch_abi"] = "2.11";
  info["cuda"] = LATENTCORE_CUDA_VERSION;
  info["cuda_architectures"] = LATENTCORE_CUDA_ARCHITECTURES;
  return info;
}

std::array<uint32_t, 4> philox(uint64_t counter_low, uint64_t counter_high, uint64_t key) {
  const auto result = latentcore::philox4x32_10(counter_low, counter_high, key);
  return {result.lane[0], result.lane[1], result.lane[2], result.lane[3]};
}

template <class T>
std::vector<T> elementary(const std::string& name, const std::vector<T>& x) {
  std::vector<T> out(x.size());
  if (!latentcore::evaluate_elementary(name, x.data(), static_cast<int64_t>(x.size()), out.data())) {
    throw py::value_error("name: expected an elementary function, got '" + name + "'");
  }
  return out;
}

}  // namespace

PYBIND11_MODULE(_C, m, py::mod_gil_not_used()) {
  m.def("build_info", &build_info, "How the native libraries were built.");
  m.def("simd_level", [] { return level_name(latentcore::simd_level()); }, "The SIMD level in use.");
  m.def("set_simd_level", &set_level, py::arg("level"), "Choose a SIMD level that this processor supports.");
  m.def("simd_levels", &supported_levels, "The SIMD levels that this processor supports.");
  m.def("take_nan_of_vae_loss", &latentcore::take_nan_of_vae_loss,
        "Whether vae_loss made NaN of a floating Bernoulli target on this thread since this was asked last.");
  m.def("philox4x32_10", &philox, py::arg("counter_low"), py::arg("counter_high"), py::arg("key"),
        "Known-answer hook: one Philox4x32-10 block.");
  m.def("elementary_float", &elementary<float>, py::arg("name"), py::arg("x"),
        "Known-answer hook: an elementary function in float32.");
  m.def("elementary_double", &elementary<double>, py::arg("name"), py::arg("x"),
        "Known-answer hook: an elementary function in float64.");
}
