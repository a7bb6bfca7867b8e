#include "runtime.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__)
#error "the harness switches between stacks in x86-64 assembly"
#endif

// Keeps the registers that a call has to keep on the running stack, and goes on where another stack left off: what
// swapcontext does, without its two calls of the kernel, which take most of a launch's time.
extern "C" void latentcore_switch_stack(void** from, void* to);
asm(R"(
.text
.type latentcore_switch_stack, @function
latentcore_switch_stack:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size latentcore_switch_stack, .-latentcore_switch_stack
)");

namespace cuda_host {
namespace {

constexpr size_t kStack = size_t{256} << 10;
constexpr int kWarp = 32;

// Where a stack has been left and, for AddressSanitizer, where it lies.
struct Context {
  void* top = nullptr;
  const void* stack = nullptr;
  size_t size = 0;
  void* fake_stack = nullptr;
};

void switch_between(Context& from, Context& to, [[maybe_unused]] bool last) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(last ? nullptr : &from.fake_stack, to.stack, to.size);
#endif
  latentcore_switch_stack(&from.top, to.top);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

struct Fibre {
  Context context;
  std::unique_ptr<char[]> stack{new char[kStack]};
  Index3 index;
  bool finished = false;
  Meeting met;
};

// Threads of a warp that wait for each other.
struct Group {
  std::string operation;
  unsigned mask = 0, arrived = 0;
  Meeting meeting{};
};

struct Shared {
  std::unique_ptr<unsigned char[]> bytes;
  size_t size;
};

// All that a launch needs. There is one per thread of the machine, since autograd runs backward passes in its own.
struct Runtime {
  uint64_t random = 1, launches = 0;
  std::string error;
  Position position;
  Context scheduler;
  std::vector<std::unique_ptr<Fibre>> fibres;
  const std::function<void()>* kernel = nullptr;
  size_t running = 0;
  std::vector<size_t> ready, at_barrier;
  std::vector<std::vector<Group>> groups;  // by warp
  size_t alive = 0;
  std::map<const void*, Shared> statics;
  Shared dynamic;
};

thread_local Runtime runtime;

// splitmix64
uint64_t draw() {
  uint64_t x = runtime.random += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

Shared new_shared(size_t bytes) {
  Shared shared{std::unique_ptr<unsigned char[]>(new unsigned char[bytes]), bytes};
  std::memset(shared.bytes.get(), 0xff, bytes);
  return shared;
}

Fibre& self() { return *runtime.fibres[runtime.running]; }

void leave(bool last) { switch_between(self().context, runtime.scheduler, last); }

void run_thread() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &runtime.scheduler.stack, &runtime.scheduler.size);
#endif
  (*runtime.kernel)();
  self().finished = true;
  leave(true);
}

void prepare(size_t thread) {
  while (runtime.fibres.size() <= thread) runtime.fibres.push_back(std::make_unique<Fibre>());
  Fibre& fibre = *runtime.fibres[thread];
  const Index3 size = runtime.position.block_size;
  const auto flat = static_cast<unsigned>(thread);
  fibre.index = {flat % size.x, flat / size.x % size.y, flat / size.x / size.y};
  fibre.finished = false;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(fibre.stack.get(), kStack);  // of a thread that a fault has stopped
#endif
  fibre.context.stack = fibre.stack.get();
  fibre.context.size = kStack;
  // as if run_thread had been called from nowhere: its address above six registers, and a stack that is aligned
  auto* top = reinterpret_cast<void**>(fibre.stack.get() + kStack / 16 * 16);
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&run_thread);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  fibre.context.top = top;
}

// On a card a barrier waits for all threads that have not returned.
void open_barrier_if_complete() {
  if (runtime.at_barrier.empty() || runtime.at_barrier.size() < runtime.alive) return;
  runtime.ready.insert(runtime.ready.end(), runtime.at_barrier.begin(), runtime.at_barrier.end());
  runtime.at_barrier.clear();
}

void run_block(size_t threads) {
  runtime.ready.clear();
  runtime.at_barrier.clear();
  runtime.statics.clear();
  runtime.dynamic = new_shared(runtime.dynamic.size);
  runtime.groups.assign((threads + kWarp - 1) / kWarp, {});
  for (size_t thread = 0; thread < threads; ++thread) {
    prepare(thread);
    runtime.ready.push_back(thread);
  }
  runtime.alive = threads;
  while (!runtime.ready.empty() && runtime.error.empty()) {
    std::swap(runtime.ready[draw() % runtime.ready.size()], runtime.ready.back());
    runtime.running = runtime.ready.back();
    runtime.ready.pop_back();
    runtime.position.thread = self().index;
    switch_between(runtime.scheduler, self().context, false);
    if (!self().finished) continue;
    --runtime.alive;
    open_barrier_if_complete();
  }
  if (runtime.alive > 0 && runtime.error.empty()) {
    runtime.error = "threads wait for others that do not come: a barrier or shuffle is not reached by all";
  }
}

}  // namespace

const Position& current() { return runtime.position; }

void set_seed(uint64_t seed) { runtime.random = seed; }

uint64_t launches() { return runtime.launches; }

void launch(Index3 blocks, Index3 threads, size_t shared_bytes, const std::function<void()>& kernel) {
  ++runtime.launches;
  const size_t count = size_t{threads.x} * threads.y * threads.z;
  const size_t total = size_t{blocks.x} * blocks.y * blocks.z;
  if (count == 0 || count > 1024 || total == 0) runtime.error = "invalid configuration argument";
  runtime.position.block_size = threads;
  runtime.position.grid_size = blocks;
  runtime.kernel = &kernel;
  runtime.dynamic.size = shared_bytes;
  // a random walk through all blocks: steps of a number prime to their count
  const size_t start = total > 0 ? draw() % total : 0;
  const bool backwards = draw() % 2 == 0;
  for (size_t i = 0; i < total && runtime.error.empty(); ++i) {
    const size_t walked = (start + i) % total;
    const auto block = static_cast<unsigned>(backwards ? total - 1 - walked : walked);
    runtime.position.block = {block % blocks.x, block / blocks.x % blocks.y, block / blocks.x / blocks.y};
    run_block(count);
  }
}

int take_error() { return runtime.error.empty() ? 0 : 1; }

const char* error_text() {
  static thread_local std::string text;
  text = std::move(runtime.error);
  runtime.error.clear();
  return text.c_str();
}

void* dynamic_shared() { return runtime.dynamic.bytes.get(); }

void* static_shared(const void* key, size_t bytes) {
  auto found = runtime.statics.find(key);
  if (found == runtime.statics.end()) found = runtime.statics.emplace(key, new_shared(bytes)).first;
  return found->second.bytes.get();
}

void synchronize_block() {
  runtime.at_barrier.push_back(runtime.running);
  open_barrier_if_complete();
  leave(false);
}

int lane() { return static_cast<int>(runtime.running % kWarp); }

const Meeting& meet(const char* operation, unsigned mask, uint64_t value) {
  const unsigned bit = 1u << lane();
  if ((mask & bit) == 0) fail("a thread names a mask that leaves it out");
  std::vector<Group>& groups = runtime.groups[runtime.running / kWarp];
  Group* group = nullptr;
  for (Group& candidate : groups) {
    if (candidate.mask == mask && candidate.operation == operation) group = &candidate;
  }
  if (group == nullptr) group = &groups.emplace_back(Group{operation, mask});
  group->arrived |= bit;
  group->meeting.values[static_cast<size_t>(lane())] = value;
  if (group->arrived == mask) {
    for (size_t i = 0; i < kWarp; ++i) {
      if ((mask >> i & 1u) == 0) continue;
      const size_t thread = runtime.running / kWarp * kWarp + i;
      runtime.fibres[thread]->met = group->meeting;
      runtime.ready.push_back(thread);
    }
    groups.erase(groups.begin() + (group - groups.data()));
  }
  leave(false);
  return self().met;
}

void fail(const char* text) {
  runtime.error = text;
  leave(false);  // the launch ends, and never comes back here
  __builtin_unreachable();
}

}  // namespace cuda_host

#define EXPORTED extern "C" __attribute__((visibility("default")))

EXPORTED void latentcore_cuda_host_seed(uint64_t seed) { cuda_host::set_seed(seed); }
EXPORTED uint64_t latentcore_cuda_host_launches() { return cuda_host::launches(); }
