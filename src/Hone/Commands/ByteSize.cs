using System.Buffers;
using System.Globalization;

namespace Hone.Commands;

/// <summary>Sizes as people write them: <c>900M</c>, <c>900 MiB</c>, <c>2.5G</c>, <c>1TB</c>. Powers of 1,024 whatever the spelling, as the system counts memory.</summary>
internal static class ByteSize
{
    private static readonly SearchValues<char> s_digits = SearchValues.Create("0123456789.");

    /// <summary>Null where it is none.</summary>
    public static long? Parse(string size)
    {
        ReadOnlySpan<char> text = size.AsSpan().Trim();
        int letters = text.IndexOfAnyExcept(s_digits);
        if (letters <= 0)
            return null;
        double? unit = text[letters..].Trim().ToString().ToUpperInvariant() switch
        {
            "K" or "KB" or "KIB" => 1L << 10,
            "M" or "MB" or "MIB" => 1L << 20,
            "G" or "GB" or "GIB" => 1L << 30,
            "T" or "TB" or "TIB" => 1L << 40,
            _ => null,
        };
        return double.TryParse(text[..letters], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double number) && number * unit is double bytes and >= 1 and < 1L << 62
            ? (long)bytes
            : null;
    }
}
