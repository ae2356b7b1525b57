/* Adds each row's own LoRA to the output of a linear layer, on a CPU:
   y[t] += B[slot] A[slot] x[t].

   It is compiled for bf16, or with FLOAT32 defined for float32.

   A row reads only the weights of its own adapter, so the work grows with the rank and not with
   the number of adapters. Sums are float32. Method: the batched gather-matrix-vector products of
   Punica (Chen et al. 2023, arXiv:2310.18547). */
#include <stdint.h>

typedef int64_t i64;

#ifdef FLOAT32
typedef float real;

static inline float to_float(real number) { return number; }

static inline real to_real(float number) { return number; }
#else
typedef uint16_t real; /* real */

static inline float to_float(real number) {
    union { uint32_t bits; float value; } wide = {(uint32_t)number << 16};
    return wide.value;
}

static inline real to_real(float number) { /* round to nearest, ties to even */
    union { float value; uint32_t bits; } wide = {number};
    return (real)((wide.bits + 0x7fff + ((wide.bits >> 16) & 1)) >> 16);
}
#endif

enum {
    BLOCK = 4,    /* rows of A or B read at once; as in lora_kernel.py */
    COLUMNS = 512 /* columns of y kept in float32 at once */
};

typedef struct { /* one slice of a packed layer, such as q of qkv */
    const real *a; /* (slots, max_rank, inputs) */
    const real *b; /* (slots, max_rank, outputs) */
    i64 outputs;
} slice;

/* hidden[0:4] = a[0:4] @ x */
static void shrink(const float *x, const real *a, i64 inputs, float *hidden) {
    const real *a0 = a, *a1 = a + inputs, *a2 = a + 2 * inputs, *a3 = a + 3 * inputs;
    float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
#pragma omp simd reduction(+ : s0, s1, s2, s3)
    for (i64 i = 0; i < inputs; i++) {
        s0 += x[i] * to_float(a0[i]);
        s1 += x[i] * to_float(a1[i]);
        s2 += x[i] * to_float(a2[i]);
        s3 += x[i] * to_float(a3[i]);
    }
    hidden[0] = s0, hidden[1] = s1, hidden[2] = s2, hidden[3] = s3;
}

/* sum += hidden[0:4] @ b[0:4] */
static void expand(float *sum, const float *hidden, const real *b, i64 outputs, i64 columns) {
    const real *b0 = b, *b1 = b + outputs, *b2 = b + 2 * outputs, *b3 = b + 3 * outputs;
    const float h0 = hidden[0], h1 = hidden[1], h2 = hidden[2], h3 = hidden[3];
#pragma omp simd
    for (i64 i = 0; i < columns; i++)
        sum[i] += h0 * to_float(b0[i]) + h1 * to_float(b1[i]) + h2 * to_float(b2[i]) +
                  h3 * to_float(b3[i]);
}

static void add_slice(real *y, const float *x, const real *a, const real *b, i64 inputs,
                      i64 outputs, i64 rank) {
    float hidden[rank], sum[COLUMNS];
    for (i64 r = 0; r < rank; r += BLOCK) shrink(x, a + r * inputs, inputs, hidden + r);
    for (i64 from = 0; from < outputs; from += COLUMNS) {
        const i64 columns = outputs - from < COLUMNS ? outputs - from : COLUMNS;
#pragma omp simd
        for (i64 i = 0; i < columns; i++) sum[i] = to_float(y[from + i]);
        for (i64 r = 0; r < rank; r += BLOCK)
            expand(sum, hidden + r, b + r * outputs + from, outputs, columns);
#pragma omp simd
        for (i64 i = 0; i < columns; i++) y[from + i] = to_real(sum[i]);
    }
}

static void add_row(real *y, const real *x, const slice *slices, i64 n_slices, i64 inputs,
                    i64 slot, i64 max_rank, i64 rank) {
    float wide[inputs];
#pragma omp simd
    for (i64 i = 0; i < inputs; i++) wide[i] = to_float(x[i]);
    for (i64 s = 0; s < n_slices; s++) {
        const i64 outputs = slices[s].outputs, first = slot * max_rank;
        const real *a = slices[s].a + first * inputs, *b = slices[s].b + first * outputs;
        add_slice(y, wide, a, b, inputs, outputs, rank);
        y += outputs;
    }
}

/* slots: (rows,), -1 for a row without an adapter; ranks: (n_slots,), the rank in use, 0 for an
   empty slot. max_rank is a multiple of BLOCK, and the weights between a slot's rank and max_rank
   are zero. */
void add_lora(real *y, i64 y_stride, const real *x, i64 x_stride, i64 rows, i64 inputs,
              const slice *slices, i64 n_slices, const i64 *slots, const i64 *ranks, i64 n_slots,
              i64 max_rank) {
    i64 adapted = 0;
    for (i64 t = 0; t < rows; t++) adapted += slots[t] >= 0;
#pragma omp parallel for schedule(static) if (adapted > 1)
    for (i64 t = 0; t < rows; t++) {
        const i64 slot = slots[t];
        if (slot < 0 || slot >= n_slots || ranks[slot] == 0) continue;
        const i64 rank = (ranks[slot] + BLOCK - 1) / BLOCK * BLOCK;
        real *out = y + t * y_stride;
        add_row(out, x + t * x_stride, slices, n_slices, inputs, slot, max_rank, rank);
    }
}
