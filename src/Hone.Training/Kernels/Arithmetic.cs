using TorchSharp;
using static TorchSharp.torch;

namespace Hone.Training.Kernels;

/// <summary>
/// Arithmetic that has a number in it. The library makes an object of the number and lets go of it before the native call has read it: a collection at that moment
/// frees it under the call, which then fails or takes another number. Here it lives until the call has ended.
/// </summary>
internal static class Arithmetic
{
#pragma warning disable RS0030 // the only place
    public static Tensor Plus(this Tensor x, Tensor y)
    {
        using Scalar one = 1;
        return x.add(y, one);
    }

    /// <summary><c>y += scale · x</c></summary>
    public static Tensor PlusInPlace(this Tensor y, Tensor x, double scale = 1)
    {
        using Scalar factor = scale;
        return y.add_(x, factor);
    }

    public static Tensor PlusInPlace(this Tensor y, double summand)
    {
        using Scalar value = summand, one = 1;
        return y.add_(value, one);
    }

    /// <summary><c>y[rows[i]] += scale · x[i]</c></summary>
    public static Tensor PlusRowsInPlace(this Tensor y, Tensor rows, Tensor x, double scale = 1)
    {
        using Scalar factor = scale;
        return y.index_add_(0, rows, x, factor);
    }

    public static Tensor Times(this Tensor x, double factor)
    {
        using Scalar value = factor;
        return x.mul(value);
    }

    public static Tensor TimesInPlace(this Tensor y, double factor)
    {
        using Scalar value = factor;
        return y.mul_(value);
    }
#pragma warning restore RS0030
}
