using System.Text.Json;
using System.Text.Json.Nodes;
using Json.Schema;

namespace Hone.Server.Tests.OpenApi;

/// <summary>An operation of <c>/openapi.json</c>.</summary>
public sealed record Operation(string Path, string Method, JsonObject Value)
{
    public override string ToString() => $"{Method.ToUpperInvariant()} {Path}";

    public JsonObject Responses => Value["responses"]!.AsObject();

    public IEnumerable<JsonObject> Parameters => (Value["parameters"]?.AsArray() ?? []).Select(p => p!.AsObject());
}

/// <summary>The document that a server publishes, read as any client would.</summary>
public sealed class PublishedApi
{
    private static readonly EvaluationOptions Options = new() { OutputFormat = OutputFormat.List, RequireFormatValidation = true };

    private readonly JsonNode components;
    private readonly Dictionary<string, JsonSchema> schemas = [];

    private PublishedApi(string json)
    {
        Json = json;
        var document = JsonNode.Parse(json)!;
        components = document["components"]!;
        Operations = [.. document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject()
            .Where(item => item.Key is "get" or "post" or "put" or "delete" or "patch").Select(item => new Operation(path.Key, item.Key, item.Value!.AsObject())))];
    }

    public string Json { get; }

    public IReadOnlyList<Operation> Operations { get; }

    /// <summary>Those of the Cloudflare dialect, which are described to the last error.</summary>
    public IReadOnlyList<Operation> Cloudflare => [.. Operations.Where(o => !o.Path.StartsWith("/v1/", StringComparison.Ordinal) && !o.Path.Contains("/ai/v1/", StringComparison.Ordinal))];

    public static async Task<PublishedApi> ReadAsync(RunningServer server) => new(await server.Http.GetStringAsync("/openapi.json"));

    /// <summary>Follows a reference within the document.</summary>
    public JsonObject Resolve(JsonObject schema) => schema["$ref"] is { } reference
        ? components["schemas"]![reference.GetValue<string>().Split('/')[^1]]!.AsObject()
        : schema;

    /// <summary>What is wrong with a value; null: nothing.</summary>
    public string? Check(JsonNode schema, JsonElement value)
    {
        string text = schema.ToJsonString();
        if (!schemas.TryGetValue(text, out var compiled))
        {
            // References point into the document's components: the schema takes them along, under the name that it has for them.
            var whole = schema.DeepClone().AsObject();
            whole["$defs"] = components["schemas"]!.DeepClone();
            schemas.Add(text, compiled = JsonSchema.FromText(whole.ToJsonString().Replace("#/components/schemas/", "#/$defs/", StringComparison.Ordinal)));
        }
        var result = compiled.Evaluate(value, Options);
        return result.IsValid ? null : string.Join("; ", (result.Details ?? []).Where(d => d.Errors is not null).SelectMany(d => d.Errors!.Select(e => $"{d.InstanceLocation}: {e.Value}")).Take(5));
    }
}
