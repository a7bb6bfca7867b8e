# Writes one translation unit per stem and instruction set, which includes csrc/cpu/simd/<stem>.h, and appends it to
# `out` with the flags of its level. A stem is what csrc/cpu has a source file of; the other headers are shared.
#
# -fno-math-errno and -fno-trapping-math let loops with square roots and selections become SIMD code; neither changes a
# result. -fopenmp-simd reads `#pragma omp simd` and links no OpenMP.
set(latentcore_flags_baseline -march=x86-64-v2)
set(latentcore_flags_avx2 -march=x86-64-v3)
set(latentcore_flags_avx512 -march=x86-64-v4 -mprefer-vector-width=512)

# sanitizers make so much more of every loop that optimising it takes minutes
set(latentcore_optimisation $<IF:$<BOOL:${LATENTCORE_SANITIZE}>,-O1,-O3>)

function(latentcore_simd_sources out)
  set(sources)
  file(GLOB headers CONFIGURE_DEPENDS csrc/cpu/simd/*.h)
  foreach(header IN LISTS headers)
    cmake_path(GET header STEM stem)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/cpu/${stem}.cpp")
      continue()
    endif()
    foreach(level baseline avx2 avx512)
      set(source "${CMAKE_CURRENT_BINARY_DIR}/simd/${stem}_${level}.cpp")
      file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"cpu/simd/${stem}.h\"\n")
      set_source_files_properties(
        "${source}" PROPERTIES
        COMPILE_DEFINITIONS LATENTCORE_LEVEL=${level}
        COMPILE_OPTIONS "${latentcore_optimisation};-fopenmp-simd;-fno-math-errno;-fno-trapping-math;${latentcore_flags_${level}}")
      list(APPEND sources "${source}")
    endforeach()
  endforeach()
  set(${out} "${sources}" PARENT_SCOPE)
endfunction()
