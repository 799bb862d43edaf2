using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Hone.Core.Accounts;
using Hone.Server.OpenAI;

namespace Hone.Server.Auth;

/// <summary>
/// The limit of each token, and, for requests that prove nothing, of each address they come from. Those are counted apart: behind a proxy all clients
/// share an address, and whoever has a token must not be shut out by one who has none.
/// </summary>
internal sealed class RateLimits
{
    private const int Capacity = 65_536;

    private readonly RateWindows<string>? tokens;
    private readonly RateWindows<UInt128>? addresses;
    private readonly string policy = "", requests = "";

    public RateLimits(RateLimit? limit, TimeProvider clock)
    {
        if (limit is null)
            return;
        tokens = new(limit, clock, Capacity);
        addresses = new(limit, clock, Capacity);
        requests = limit.Requests.ToString(CultureInfo.InvariantCulture);
        policy = string.Create(CultureInfo.InvariantCulture, $"\"default\";q={limit.Requests};w={(int)limit.Window.TotalSeconds}");
    }

    /// <summary>Counts a request of a caller and tells him in the headers how he stands. Not null: refused, with the time to wait.</summary>
    public TimeSpan? Take(HttpContext context, Principal caller) => Say(context, tokens?.Take(caller.TokenId ?? caller.AccountId));

    /// <summary>Counts a request without a credential that is known. Not null: refused, with the time to wait.</summary>
    public TimeSpan? TakeUnknown(HttpContext context) => Say(context, addresses?.Take(Key(context.Connection.RemoteIpAddress)));

    private TimeSpan? Say(HttpContext context, RateCount? counted)
    {
        if (counted is not { } count)
            return null;
        int seconds = (int)Math.Ceiling(count.Reset.TotalSeconds);
        var headers = context.Response.Headers;
        headers["Ratelimit"] = string.Create(CultureInfo.InvariantCulture, $"\"default\";r={count.Remaining};t={seconds}");
        headers["Ratelimit-Policy"] = policy;
        if (OpenAIPaths.Has(context.Request.Path))
        {
            headers["x-ratelimit-limit-requests"] = requests;
            headers["x-ratelimit-remaining-requests"] = count.Remaining.ToString(CultureInfo.InvariantCulture);
            headers["x-ratelimit-reset-requests"] = string.Create(CultureInfo.InvariantCulture, $"{seconds}s");
        }
        return count.Allowed ? null : TimeSpan.FromSeconds(seconds);
    }

    /// <summary>An IPv4 address, or the half of an IPv6 address that names the network: the other half is its owner's to choose.</summary>
    private static UInt128 Key(IPAddress? address)
    {
        if (address is null)
            return 0;
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        Span<byte> bytes = stackalloc byte[16];
        address.TryWriteBytes(bytes, out int written);
        if (address.AddressFamily == AddressFamily.InterNetworkV6)
            bytes[8..].Clear();
        // An IPv4 address must not be taken for a network.
        return BinaryPrimitives.ReadUInt128BigEndian(bytes) + (written == 4 ? (UInt128)1 : 0);
    }
}
