using Microsoft.AspNetCore.Http.Features;

namespace Hone.Server.Requests;

/// <summary>
/// Path segments as the client sent them, each decoded by itself. Routing leaves <c>%2F</c> undecoded and cannot tell it from <c>%252F</c>; ids and names may hold both.
/// </summary>
internal static class RawPath
{
    /// <summary>The segment with this index, counted from 0 after the first slash.</summary>
    public static string Segment(HttpContext context, int index) => Segments(context) is var s && index < s.Length ? s[index] : "";

    /// <summary>All segments from this index on, joined with slashes, without those at the end.</summary>
    public static string From(HttpContext context, int index) => string.Join('/', Segments(context).Skip(index)).TrimEnd('/');

    private static string[] Segments(HttpContext context)
    {
        string[] routed = (context.Request.Path.Value ?? "").TrimStart('/').Split('/');
        string target = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        int query = target.IndexOfAny(['?', '#']);
        string path = query < 0 ? target : target[..query];
        if (!path.StartsWith('/'))
            path = Uri.TryCreate(path, UriKind.Absolute, out var absolute) ? absolute.AbsolutePath : "";
        string[] raw = path.TrimStart('/').Split('/');
        // Kestrel resolves "." and ".."; where that happened only the routed path counts.
        if (raw.Length != routed.Length)
            return [.. routed.Select(s => s.Replace("%2F", "/", StringComparison.OrdinalIgnoreCase))];
        return [.. raw.Select(Uri.UnescapeDataString)];
    }
}
