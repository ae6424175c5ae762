/* Stands in for libnvidia-ml.so.1: a whole H100, and an A100 divided into two instances of which the second place is
   empty. Signatures and layouts are those of nvml.h. */
#include <stdio.h>
#include <string.h>

typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int gpu, memory; } utilisation_t;

static char h100, a100, first, third;

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 3; return 0; }

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) {
    if (index == 2) return 15; /* NVML_ERROR_GPU_IS_LOST */
    *device = index ? &a100 : &h100;
    return 0;
}

int nvmlDeviceGetMigMode(void *device, unsigned int *current, unsigned int *pending) {
    if (device == &h100) return 3; /* NVML_ERROR_NOT_SUPPORTED */
    *current = *pending = 1;
    return 0;
}

int nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned int *count) { *count = device == &a100 ? 3 : 0; return 0; }

int nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned int index, void **instance) {
    if (device != &a100 || index == 1) return 6; /* NVML_ERROR_NOT_FOUND */
    *instance = index ? &third : &first;
    return 0;
}

int nvmlDeviceGetUUID(void *device, char *text, unsigned int length) {
    snprintf(text, length, "%s", device == &h100 ? "GPU-aaaa" : device == &first ? "MIG-bbbb" : "MIG-cccc");
    return 0;
}

int nvmlDeviceGetName(void *device, char *text, unsigned int length) {
    snprintf(text, length, "%s", device == &h100 ? "NVIDIA H100" : "NVIDIA A100 MIG 3g.20gb");
    return 0;
}

int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
    memory->total = (device == &h100 ? 80ull : 20ull) << 30;
    memory->used = device == &h100 ? 3ull << 30 : 0;
    memory->free = memory->total - memory->used;
    return 0;
}

int nvmlDeviceGetUtilizationRates(void *device, utilisation_t *utilisation) {
    if (device != &h100) return 3;
    utilisation->gpu = 42;
    utilisation->memory = 7;
    return 0;
}
