/* What the processor and the operating system can run, and the table that follows from it. */
#include "cpu/dispatch.h"

#include <string.h>

/* Which levels are built; none with TNN_PORTABLE_ONLY. */
#if defined(__x86_64__) && !defined(TNN_PORTABLE_ONLY)
#define HAS_X86 1
#include <cpuid.h>
#elif defined(__aarch64__) && !defined(TNN_PORTABLE_ONLY)
#define HAS_ARM 1
#ifdef __linux__
#include <sys/auxv.h>
#endif
#endif

static const char *const isa_names[TNN_ISA_COUNT] = {
#define X(name, text) [TNN_ISA_##name] = (text),
    TNN_ISA_LIST(X)
#undef X
};

const char *tnn_isa_name(tnn_isa isa) {
    return (int)isa >= 0 && isa < TNN_ISA_COUNT ? isa_names[isa] : "unknown";
}

int tnn_isa_from_name(const char *name) {
    for (int isa = 0; name && isa < TNN_ISA_COUNT; isa++)
        if (strcmp(name, isa_names[isa]) == 0) return isa;
    return -1;
}

#if defined(HAS_X86)

/* Bit positions from the Intel SDM, volume 2A, CPUID, and volume 1, section 13.3 (XCR0). */
enum {
    LEAF1_ECX_FMA = 1 << 12,
    LEAF1_ECX_OSXSAVE = 1 << 27,
    LEAF1_ECX_F16C = 1 << 29,
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_EBX_BMI2 = 1 << 8,
    LEAF7_EBX_AVX512F = 1 << 16,
    LEAF7_EBX_AVX512DQ = 1 << 17,
    LEAF7_EBX_AVX512BW = 1 << 30,
    LEAF7_ECX_AVX512VNNI = 1 << 11,
    LEAF7_1_EAX_AVXVNNI = 1 << 4,
    LEAF7_1_EAX_AVX512BF16 = 1 << 5,
    XCR0_YMM = 0x06, /* SSE and AVX state */
    XCR0_ZMM = 0xe6, /* and opmask, ZMM_Hi256, Hi16_ZMM */
};
#define LEAF7_EBX_AVX512VL (1u << 31)

static bool has(unsigned reg, unsigned bits) {
    return (reg & bits) == bits;
}

/* Which vector registers the operating system saves. Only where OSXSAVE is set. */
static unsigned read_xcr0(void) {
    unsigned eax, edx;
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    return eax;
}

/* A set of 1 << level. */
static unsigned levels(void) {
    unsigned set = 1u << TNN_ISA_PORTABLE;
    unsigned eax, ebx, ecx, edx, leaf1_ecx, max_subleaf;
    if (!__get_cpuid(1, &eax, &ebx, &leaf1_ecx, &edx)) return set;
    if (!__get_cpuid_count(7, 0, &max_subleaf, &ebx, &ecx, &edx)) return set;
    unsigned leaf7_ebx = ebx, leaf7_ecx = ecx, leaf7_1_eax = 0;
    if (max_subleaf >= 1) __get_cpuid_count(7, 1, &leaf7_1_eax, &ebx, &ecx, &edx);
    if (!has(leaf1_ecx, LEAF1_ECX_OSXSAVE)) return set;
    unsigned xcr0 = read_xcr0();

    if (!has(xcr0, XCR0_YMM) || !has(leaf1_ecx, LEAF1_ECX_FMA | LEAF1_ECX_F16C) ||
        !has(leaf7_ebx, LEAF7_EBX_AVX2 | LEAF7_EBX_BMI2))
        return set;
    set |= 1u << TNN_ISA_AVX2;
    if (has(leaf7_1_eax, LEAF7_1_EAX_AVXVNNI)) set |= 1u << TNN_ISA_AVXVNNI;
    if (!has(xcr0, XCR0_ZMM) ||
        !has(leaf7_ebx, LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL))
        return set;
    set |= 1u << TNN_ISA_AVX512;
    if (!has(leaf7_ecx, LEAF7_ECX_AVX512VNNI)) return set;
    set |= 1u << TNN_ISA_AVX512VNNI;
    if (has(leaf7_1_eax, LEAF7_1_EAX_AVX512BF16)) set |= 1u << TNN_ISA_AVX512BF16;
    return set;
}

#elif defined(HAS_ARM)

static unsigned levels(void) {
    unsigned set = 1u << TNN_ISA_PORTABLE | 1u << TNN_ISA_NEON; /* NEON is part of the base architecture */
#if defined(__linux__)
    /* The kernel's ABI, Documentation/arm64/elf_hwcaps.rst; old headers lack some of the names. */
    enum { AT_HWCAP_ASIMDHP = 1 << 10, AT_HWCAP_ASIMDDP = 1 << 20, AT_HWCAP2_I8MM = 1 << 13 };
    unsigned long hwcap = getauxval(AT_HWCAP), hwcap2 = getauxval(AT_HWCAP2);
    if (!(hwcap & AT_HWCAP_ASIMDDP) || !(hwcap & AT_HWCAP_ASIMDHP)) return set;
    set |= 1u << TNN_ISA_DOTPROD;
    if (hwcap2 & AT_HWCAP2_I8MM) set |= 1u << TNN_ISA_I8MM;
#endif
    return set;
}

#else

static unsigned levels(void) {
    return 1u << TNN_ISA_PORTABLE;
}

#endif

/* Levels this binary may run: those the processor has, and those that the build emulates. */
static unsigned available(void) {
    unsigned set = levels();
#if defined(HAS_X86) && defined(TNN_SIMDE)
    if (set & 1u << TNN_ISA_AVX2)
        set |= 1u << TNN_ISA_AVXVNNI | 1u << TNN_ISA_AVX512 | 1u << TNN_ISA_AVX512VNNI | 1u << TNN_ISA_AVX512BF16;
#endif
    return set;
}

int tnn_isa_available(tnn_isa isa) {
    return (int)isa >= 0 && isa < TNN_ISA_COUNT && (available() & 1u << isa) != 0;
}

tnn_isa tnn_isa_detect(void) {
    unsigned set = available();
    int best = TNN_ISA_COUNT - 1;
    while (!(set & 1u << best))
        best--;
    return (tnn_isa)best;
}

typedef struct level {
    tnn_isa isa;
    void (*init)(tnn__kernels *k);
} level;

tnn_isa tnn__kernels_init(tnn__kernels *k, tnn_isa max) {
    static const level table[] =
    { {TNN_ISA_PORTABLE, tnn__kernels_init_portable},
#if defined(HAS_X86)
      {TNN_ISA_AVX2, tnn__kernels_init_avx2},
      {TNN_ISA_AVXVNNI, tnn__kernels_init_avxvnni},
      {TNN_ISA_AVX512, tnn__kernels_init_avx512},
      {TNN_ISA_AVX512VNNI, tnn__kernels_init_avx512vnni},
      {TNN_ISA_AVX512BF16, tnn__kernels_init_avx512bf16},
#elif defined(HAS_ARM)
      {TNN_ISA_NEON, tnn__kernels_init_neon},
      {TNN_ISA_DOTPROD, tnn__kernels_init_dotprod},
      {TNN_ISA_I8MM, tnn__kernels_init_i8mm},
#endif
    };
    unsigned set = available();
    tnn_isa reached = TNN_ISA_PORTABLE;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (!(set & 1u << table[i].isa) || table[i].isa > max) continue;
        table[i].init(k);
        reached = table[i].isa;
    }
    return reached;
}
