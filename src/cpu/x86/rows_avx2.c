/* Kernels over one row. */
#include <math.h>

#include "cpu/kernels.h"
#include "cpu/x86/float_avx2.h"
#include "cpu/x86/init.h"

static float sum_of_squares(const float *x, int64_t n) {
    __m256 sum[4] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps()};
    int64_t i = 0;
    for (; i + 32 <= n; i += 32) {
        TNN__UNROLL
        for (int l = 0; l < 4; l++) {
            __m256 v = _mm256_loadu_ps(x + i + 8 * l);
            sum[l] = _mm256_fmadd_ps(v, v, sum[l]);
        }
    }
    for (; i < n; i += 8) {
        __m256 v = n - i >= 8 ? _mm256_loadu_ps(x + i) : _mm256_maskload_ps(x + i, tail_mask(n - i));
        sum[0] = _mm256_fmadd_ps(v, v, sum[0]);
    }
    return sum8(_mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3])));
}

static void rms_norm(const float *x, const float *gamma, float *y, int64_t n, float eps, float *inv_rms) {
    float inv = 1.0f / sqrtf(sum_of_squares(x, n) / (float)n + eps);
    const __m256 scale = _mm256_set1_ps(inv);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), scale);
        _mm256_storeu_ps(y + i, _mm256_mul_ps(v, _mm256_loadu_ps(gamma + i)));
    }
    for (; i < n; i++)
        y[i] = x[i] * inv * gamma[i];
    if (inv_rms) *inv_rms = inv;
}

TNN__INLINE __m256 swiglu8(__m256 gate, __m256 up) {
    __m256 e = exp8(_mm256_sub_ps(_mm256_setzero_ps(), gate));
    __m256 silu = _mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
    return _mm256_mul_ps(silu, up);
}

static void swiglu(const float *gate, const float *up, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, swiglu8(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
    if (i < n) {
        __m256i mask = tail_mask(n - i);
        __m256 v = swiglu8(_mm256_maskload_ps(gate + i, mask), _mm256_maskload_ps(up + i, mask));
        _mm256_maskstore_ps(y + i, mask, v);
    }
}

static void add(const float *a, const float *b, float *y, int64_t n) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(a + i), _mm256_loadu_ps(b + i)));
    for (; i < n; i++)
        y[i] = a[i] + b[i];
}

/* One pair, as the portable kernel. */
TNN__INLINE void rotate(const float *x, float *y, int64_t i0, int64_t i1, float cos, float sin) {
    float x0 = x[i0], x1 = x[i1];
    y[i0] = x0 * cos - x1 * sin;
    y[i1] = x0 * sin + x1 * cos;
}

/* Four pairs (2i, 2i+1): (x0, x1) * cos + (-x1, x0) * sin. Returns the first pair left. */
static int64_t rope_interleaved(const float *x, const float *cs, float *y, int64_t half, bool inverse) {
    /* addsub subtracts in the even lanes; turning back is subtracting in the odd ones */
    const __m256 flip = _mm256_set1_ps(inverse ? -0.0f : 0.0f);
    int64_t i = 0;
    for (; i + 4 <= half; i += 4) {
        __m256 v = _mm256_loadu_ps(x + 2 * i), angle = _mm256_loadu_ps(cs + 2 * i);
        __m256 cos = _mm256_moveldup_ps(angle), sin = _mm256_xor_ps(_mm256_movehdup_ps(angle), flip);
        __m256 swapped = _mm256_permute_ps(v, 0xb1);
        _mm256_storeu_ps(y + 2 * i, _mm256_addsub_ps(_mm256_mul_ps(v, cos), _mm256_mul_ps(swapped, sin)));
    }
    return i;
}

/* Eight pairs (i, i + half). Returns the first pair left. */
static int64_t rope_halves(const float *x, const float *cs, float *y, int64_t half, bool inverse) {
    const __m256 flip = _mm256_set1_ps(inverse ? -0.0f : 0.0f);
    int64_t i = 0;
    for (; i + 8 <= half; i += 8) {
        __m256 a0 = _mm256_loadu_ps(cs + 2 * i), a1 = _mm256_loadu_ps(cs + 2 * i + 8);
        __m256 cos = _mm256_shuffle_ps(a0, a1, 0x88), sin = _mm256_shuffle_ps(a0, a1, 0xdd);
        cos = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(cos), 0xd8));
        sin = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(sin), 0xd8));
        sin = _mm256_xor_ps(sin, flip);
        __m256 x0 = _mm256_loadu_ps(x + i), x1 = _mm256_loadu_ps(x + half + i);
        _mm256_storeu_ps(y + i, _mm256_sub_ps(_mm256_mul_ps(x0, cos), _mm256_mul_ps(x1, sin)));
        _mm256_storeu_ps(y + half + i, _mm256_add_ps(_mm256_mul_ps(x0, sin), _mm256_mul_ps(x1, cos)));
    }
    return i;
}

static void rope(const float *x, const float *cs, float *y, int64_t d, int64_t n_rot, bool interleaved, bool inverse) {
    int64_t half = n_rot / 2;
    int64_t i = interleaved ? rope_interleaved(x, cs, y, half, inverse) : rope_halves(x, cs, y, half, inverse);
    for (; i < half; i++) {
        float sin = inverse ? -cs[2 * i + 1] : cs[2 * i + 1];
        rotate(x, y, interleaved ? 2 * i : i, interleaved ? 2 * i + 1 : i + half, cs[2 * i], sin);
    }
    if (y != x) memcpy(y + 2 * half, x + 2 * half, (size_t)(d - 2 * half) * sizeof *y);
}

void tnn__kernels_init_rows_avx2(tnn__kernels *k) {
    k->rms_norm = rms_norm;
    k->swiglu = swiglu;
    k->add = add;
    k->rope = rope;
}
