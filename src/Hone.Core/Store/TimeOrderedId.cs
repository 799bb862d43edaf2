using System.Globalization;

namespace Hone.Core.Store;

/// <summary>UUIDs of version 7 (RFC 9562), which begin with their time in milliseconds: of a row that is gone its id still says which rows come behind it.</summary>
public static class TimeOrderedId
{
    /// <returns>Null for one of another version.</returns>
    public static DateTimeOffset? TimeOf(Guid id)
    {
        long milliseconds = long.Parse(id.ToString("N").AsSpan(0, 12), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
        return id.Version == 7 && milliseconds <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds() ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds) : null;
    }
}
