// Counts what is allocated: the loader puts this library before the C library (LD_PRELOAD), so that torch, numpy,
// OpenCV, C++ containers and whatever else asks for memory ask here. What they get is the C library's own; only while
// someone counts are the bytes in use added up, so that calls that are timed meet a load and a branch.
#include <malloc.h>

#include <atomic>
#include <cerrno>
#include <cstddef>

extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void __libc_free(void* block);
}

namespace {

std::atomic<bool> counting{false};
// since the count began; blocks from before it that are freed make it less
std::atomic<long> in_use{0};
std::atomic<long> most{0};

void add(long bytes) {
  const long now = in_use.fetch_add(bytes) + bytes;
  long before = most.load();
  while (now > before && !most.compare_exchange_weak(before, now)) {
  }
}

bool counts() { return counting.load(std::memory_order_relaxed); }

long size_of(void* block) { return static_cast<long>(malloc_usable_size(block)); }

void* counted(void* block) {
  add(size_of(block));
  return block;
}

}  // namespace

extern "C" {

void allocations_begin() {
  in_use = 0;
  most = 0;
  counting = true;
}

long allocations_end() {
  counting = false;
  return most;
}

void* malloc(size_t size) { return counts() ? counted(__libc_malloc(size)) : __libc_malloc(size); }

void* calloc(size_t count, size_t size) {
  return counts() ? counted(__libc_calloc(count, size)) : __libc_calloc(count, size);
}

void* memalign(size_t alignment, size_t size) {
  return counts() ? counted(__libc_memalign(alignment, size)) : __libc_memalign(alignment, size);
}

void* aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void** block, size_t alignment, size_t size) {
  if (alignment % sizeof(void*) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* const made = memalign(alignment, size);
  if (made == nullptr) return ENOMEM;
  *block = made;
  return 0;
}

void* realloc(void* block, size_t size) {
  if (!counts()) return __libc_realloc(block, size);
  const long before = size_of(block);
  void* const moved = __libc_realloc(block, size);
  if (moved != nullptr || size == 0) add(size_of(moved) - before);
  return moved;
}

void free(void* block) {
  if (counts()) add(-size_of(block));
  __libc_free(block);
}
}
