using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Hone.Training.Kernels;

/// <summary>
/// Attention of one token: a few query heads over keys and values that lie in rows, each read once for up to four heads. A head's sums are the same bits whatever
/// heads are beside it and wherever the rows are cut into pages.
/// </summary>
internal static unsafe class HeadKernel
{
    /// <summary>Heads that share a reading, and keys whose sums are under way at once.</summary>
    private const int Step = 4;

    private const int Lanes = 16;

    /// <summary><c>scores = scale · queries · keysᵀ</c></summary>
    /// <param name="queries">[H, d]</param>
    /// <param name="keys">[T, d]</param>
    /// <param name="scores">[H, T]</param>
    /// <param name="next">What is read after the keys, asked for meanwhile: pages lie far apart.</param>
    public static void Scores(Matrix queries, Matrix keys, float scale, Matrix scores, float* next)
    {
        for (int head = 0; head < queries.Rows; head += Step)
            Scores(queries.RowRange(head, Math.Min(Step, queries.Rows - head)), keys, scale, scores.Data + head * scores.Stride, scores.Stride, next);
    }

    /// <summary><c>result = weights · values</c>, or that added to it.</summary>
    /// <param name="weights">[H, T]</param>
    /// <param name="values">[T, d]</param>
    /// <param name="result">[H, d]</param>
    /// <param name="next">What is read after the values.</param>
    public static void Values(Matrix weights, Matrix values, Matrix result, bool accumulate, float* next)
    {
        for (int head = 0; head < weights.Rows; head += Step)
        {
            int count = Math.Min(Step, weights.Rows - head), wide = Step * Lanes, column = 0;
            Matrix some = weights.RowRange(head, count), target = result.RowRange(head, count);
            for (; column + wide <= values.Columns; column += wide)
                FourWide(some, values, column, target, accumulate, next + column);
            for (; column + Lanes <= values.Columns; column += Lanes)
                OneWide(some, values, column, target, accumulate);
            for (; column < values.Columns; column++)
                Single(some, values, column, target, accumulate);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scores(Matrix queries, Matrix keys, float scale, float* scores, nint stride, float* next)
    {
        int last = queries.Rows - 1, depth = queries.Columns, whole = depth / Lanes * Lanes;
        float* q0 = queries.Data, q1 = q0 + Math.Min(1, last) * queries.Stride, q2 = q0 + Math.Min(2, last) * queries.Stride, q3 = q0 + last * queries.Stride;
        float* sums = stackalloc float[Step * Step];
        for (int key = 0; key < keys.Rows; key += Step, next += Step * keys.Stride)
        {
            int count = Math.Min(Step, keys.Rows - key);
            float* k0 = keys.Data + key * keys.Stride, k1 = k0 + Math.Min(1, count - 1) * keys.Stride, k2 = k0 + Math.Min(2, count - 1) * keys.Stride, k3 = k0 + (count - 1) * keys.Stride;
            Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
            Vector512<float> c0 = default, c1 = default, c2 = default, c3 = default, d0 = default, d1 = default, d2 = default, d3 = default;
            for (int i = 0; i < whole; i += Lanes)
            {
                Prefetching.Ask((byte*)(next + Step * i), Step * Lanes * sizeof(float));
                Vector512<float> x = Vector512.Load(k0 + i), y = Vector512.Load(k1 + i), z = Vector512.Load(k2 + i), w = Vector512.Load(k3 + i), q = Vector512.Load(q0 + i);
                (a0, a1, a2, a3) = (Add(q, x, a0), Add(q, y, a1), Add(q, z, a2), Add(q, w, a3));
                q = Vector512.Load(q1 + i);
                (b0, b1, b2, b3) = (Add(q, x, b0), Add(q, y, b1), Add(q, z, b2), Add(q, w, b3));
                q = Vector512.Load(q2 + i);
                (c0, c1, c2, c3) = (Add(q, x, c0), Add(q, y, c1), Add(q, z, c2), Add(q, w, c3));
                q = Vector512.Load(q3 + i);
                (d0, d1, d2, d3) = (Add(q, x, d0), Add(q, y, d1), Add(q, z, d2), Add(q, w, d3));
            }
            Lane.Sums(a0, a1, a2, a3).Store(sums);
            Lane.Sums(b0, b1, b2, b3).Store(sums + Step);
            Lane.Sums(c0, c1, c2, c3).Store(sums + 2 * Step);
            Lane.Sums(d0, d1, d2, d3).Store(sums + 3 * Step);
            for (int head = 0; head <= last; head++)
            {
                float* query = q0 + head * queries.Stride, target = scores + head * stride + key;
                for (int k = 0; k < count; k++)
                {
                    float sum = sums[head * Step + k];
                    for (int i = whole; i < depth; i++)
                        sum += query[i] * k0[k * keys.Stride + i];
                    target[k] = scale * sum;
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourWide(Matrix weights, Matrix values, int column, Matrix result, bool accumulate, float* next)
    {
        int last = weights.Rows - 1;
        nint stride = values.Stride;
        float* p0 = weights.Data, p1 = p0 + Math.Min(1, last) * weights.Stride, p2 = p0 + Math.Min(2, last) * weights.Stride, p3 = p0 + last * weights.Stride;
        float* v = values.Data + column, y0 = result.Data + column, y1 = y0 + Math.Min(1, last) * result.Stride, y2 = y0 + Math.Min(2, last) * result.Stride, y3 = y0 + last * result.Stride;
        Vector512<float> a0 = default, a1 = default, a2 = default, a3 = default, b0 = default, b1 = default, b2 = default, b3 = default;
        Vector512<float> c0 = default, c1 = default, c2 = default, c3 = default, d0 = default, d1 = default, d2 = default, d3 = default;
        if (accumulate)
        {
            (a0, a1, a2, a3) = (Vector512.Load(y0), Vector512.Load(y0 + Lanes), Vector512.Load(y0 + 2 * Lanes), Vector512.Load(y0 + 3 * Lanes));
            (b0, b1, b2, b3) = (Vector512.Load(y1), Vector512.Load(y1 + Lanes), Vector512.Load(y1 + 2 * Lanes), Vector512.Load(y1 + 3 * Lanes));
            (c0, c1, c2, c3) = (Vector512.Load(y2), Vector512.Load(y2 + Lanes), Vector512.Load(y2 + 2 * Lanes), Vector512.Load(y2 + 3 * Lanes));
            (d0, d1, d2, d3) = (Vector512.Load(y3), Vector512.Load(y3 + Lanes), Vector512.Load(y3 + 2 * Lanes), Vector512.Load(y3 + 3 * Lanes));
        }
        for (int t = 0; t < values.Rows; t++, v += stride, next += stride)
        {
            Prefetching.Ask((byte*)next, 4 * Lanes * sizeof(float));
            Vector512<float> x = Vector512.Load(v), y = Vector512.Load(v + Lanes), z = Vector512.Load(v + 2 * Lanes), w = Vector512.Load(v + 3 * Lanes), p = Vector512.Create(p0[t]);
            (a0, a1, a2, a3) = (Add(p, x, a0), Add(p, y, a1), Add(p, z, a2), Add(p, w, a3));
            p = Vector512.Create(p1[t]);
            (b0, b1, b2, b3) = (Add(p, x, b0), Add(p, y, b1), Add(p, z, b2), Add(p, w, b3));
            p = Vector512.Create(p2[t]);
            (c0, c1, c2, c3) = (Add(p, x, c0), Add(p, y, c1), Add(p, z, c2), Add(p, w, c3));
            p = Vector512.Create(p3[t]);
            (d0, d1, d2, d3) = (Add(p, x, d0), Add(p, y, d1), Add(p, z, d2), Add(p, w, d3));
        }
        Store(y0, a0, a1, a2, a3);
        Store(y1, b0, b1, b2, b3);
        Store(y2, c0, c1, c2, c3);
        Store(y3, d0, d1, d2, d3);

        static void Store(float* y, Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d)
        {
            a.Store(y);
            b.Store(y + Lanes);
            c.Store(y + 2 * Lanes);
            d.Store(y + 3 * Lanes);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneWide(Matrix weights, Matrix values, int column, Matrix result, bool accumulate)
    {
        for (int head = 0; head < weights.Rows; head++)
        {
            float* p = weights.Data + head * weights.Stride, y = result.Data + head * result.Stride + column, v = values.Data + column;
            Vector512<float> sum = accumulate ? Vector512.Load(y) : default;
            for (int t = 0; t < values.Rows; t++, v += values.Stride)
                sum = Add(Vector512.Create(p[t]), Vector512.Load(v), sum);
            sum.Store(y);
        }
    }

    private static void Single(Matrix weights, Matrix values, int column, Matrix result, bool accumulate)
    {
        for (int head = 0; head < weights.Rows; head++)
        {
            float* p = weights.Data + head * weights.Stride, y = result.Data + head * result.Stride + column, v = values.Data + column;
            float sum = accumulate ? *y : 0;
            for (int t = 0; t < values.Rows; t++, v += values.Stride)
                sum = MathF.FusedMultiplyAdd(p[t], *v, sum);
            *y = sum;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Add(Vector512<float> x, Vector512<float> y, Vector512<float> sum) => Vector512.MultiplyAddEstimate(x, y, sum);
}
