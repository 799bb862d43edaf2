using System.Text.Json;
using Hone.Formats;
using Hone.Server.Requests;

namespace Hone.Server.OpenAI;

/// <summary>A JSON body held to its table of fields. One that the table does not name is refused, as the original does: a misspelt setting must not pass unsaid.</summary>
internal static class OpenAIBody
{
    /// <param name="inert">Fields that are known, and change nothing here.</param>
    public static async Task<(BodyFields? Fields, OpenAIError? Error)> ReadAsync(HttpContext context, int limit, BodyShape shape, IReadOnlySet<string>? inert, CancellationToken cancellationToken)
    {
        var body = await JsonBody.ReadAsync(context, limit, cancellationToken);
        if (body.Malformed is { } why)
            return (null, OpenAIError.MalformedJson(why));
        if (Unknown(body.Root, shape.Fields.Select(f => f.Name).Concat(inert ?? new HashSet<string>())) is { } unknown)
            return (null, new OpenAIError(400, $"Unrecognized request argument supplied: {unknown.Shown()}", unknown.Shown(), "unknown_parameter"));
        var fields = new BodyFields(body.Root);
        shape.Check(fields);
        return fields.Errors.Count > 0 ? (null, OpenAIError.Of(fields)) : (fields, null);
    }

    public static string? Unknown(JsonElement body, IEnumerable<string> known)
    {
        var names = known.ToHashSet(StringComparer.Ordinal);
        return body.EnumerateObject().Select(p => p.Name).FirstOrDefault(name => !names.Contains(name));
    }
}

/// <summary><c>limit</c> and <c>after</c> of a list.</summary>
internal sealed record OpenAIPage(int Limit, string? After)
{
    public static (OpenAIPage? Page, OpenAIError? Error) Of(IQueryCollection query, int otherwise, int maximum)
    {
        string given = query["limit"].ToString();
        int limit = otherwise;
        if (given.Length > 0 && (!int.TryParse(given, out limit) || limit < 1 || limit > maximum))
            return (null, new OpenAIError(400, $"'limit' is '{given.Shown(60)}', it must be a number from 1 to {maximum}", "limit"));
        string after = query["after"].ToString();
        return (new OpenAIPage(limit, after.Length > 0 ? after : null), null);
    }

    /// <summary>The page of a list that is all there; null where <see cref="After"/> is none of it.</summary>
    /// <param name="isBehind">Whether an item comes behind <see cref="After"/> although that is none of the list, any more; null: nothing tells.</param>
    public (IReadOnlyList<T> Items, bool HasMore)? Take<T>(IReadOnlyList<T> all, Func<T, string> id, Predicate<T>? isBehind = null)
    {
        int from = 0;
        if (After is not null)
        {
            while (from < all.Count && id(all[from]) != After)
                from++;
            if (from == all.Count && isBehind is null)
                return null;
            from = from < all.Count ? from + 1 : all.TakeWhile(item => !isBehind!(item)).Count();
        }
        return ([.. all.Skip(from).Take(Limit)], all.Count - from > Limit);
    }

    public OpenAIError NoSuchAfter => new(400, $"'after' is '{After.Shown(100)}', which is none of the list", "after");
}
