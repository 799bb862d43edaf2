using System.Globalization;

namespace Hone.Server.Auth;

/// <summary>So many requests in so much time.</summary>
public sealed record RateLimit(int Requests, TimeSpan Window)
{
    private const int MostRequests = 1_000_000_000;
    private const int MostSeconds = 86_400;

    /// <summary>1,200 in 5 minutes, as with the original.</summary>
    public static RateLimit Default { get; } = new(1200, TimeSpan.FromSeconds(300));

    /// <summary><c>1200/300</c>: requests and seconds; <c>off</c>: a limit that is null. False where it is neither.</summary>
    public static bool TryParse(string text, out RateLimit? limit)
    {
        limit = null;
        if (text == "off")
            return true;
        string[] parts = text.Split('/');
        if (parts.Length != 2 || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int requests) || requests is < 1 or > MostRequests
            || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int seconds) || seconds is < 1 or > MostSeconds)
        {
            return false;
        }
        limit = new(requests, TimeSpan.FromSeconds(seconds));
        return true;
    }
}
