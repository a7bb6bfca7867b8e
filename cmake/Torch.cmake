# Asks Python where torch lies. find_package(Torch) is not used: a CUDA build of torch makes it demand the whole CUDA
# toolkit, and the stable ABI needs no more than the headers and two libraries.
execute_process(
  COMMAND "${Python_EXECUTABLE}" -c
          "import torch; print(torch.__path__[0], torch.__version__, torch.version.cuda or '', sep=';')"
  OUTPUT_VARIABLE torch_facts OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
list(GET torch_facts 0 torch_root)
list(GET torch_facts 1 TORCH_VERSION)
list(GET torch_facts 2 TORCH_CUDA_VERSION)
if(TORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "torch: expected version 2.11 or newer, got ${TORCH_VERSION}")
endif()
set(TORCH_LIBRARY_DIR "${torch_root}/lib")

add_library(torch_stable INTERFACE)
target_include_directories(torch_stable SYSTEM INTERFACE "${torch_root}/include")
target_compile_definitions(torch_stable INTERFACE TORCH_TARGET_VERSION=0x020b000000000000)
# libtorch exports nothing itself, but it is what pulls in libtorch_cuda at run time
target_link_directories(torch_stable INTERFACE "${TORCH_LIBRARY_DIR}")
target_link_options(torch_stable INTERFACE LINKER:--no-as-needed)
target_link_libraries(torch_stable INTERFACE torch torch_cpu c10)
