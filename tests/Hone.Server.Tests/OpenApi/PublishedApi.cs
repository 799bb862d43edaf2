using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Json.Schema;

namespace Hone.Server.Tests.OpenApi;

/// <summary>An operation of <c>/openapi.json</c>.</summary>
public sealed record Operation(string Path, string Method, JsonObject Value)
{
    public override string ToString() => $"{Method.ToUpperInvariant()} {Path}";

    public bool IsOpenAI => Path.StartsWith("/v1/", StringComparison.Ordinal);

    public JsonObject Responses => Value["responses"]!.AsObject();

    public IEnumerable<JsonObject> Parameters => (Value["parameters"]?.AsArray() ?? []).Select(p => p!.AsObject());
}

/// <summary>The document that a server publishes, read as any client would.</summary>
public sealed class PublishedApi
{
    private static readonly EvaluationOptions Options = new() { OutputFormat = OutputFormat.List, RequireFormatValidation = true };

    private readonly JsonNode components;
    private readonly ConcurrentDictionary<string, JsonSchema> schemas = [];
    private static Task<PublishedApi>? shared;

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

    public static async Task<PublishedApi> ReadAsync(RunningServer server) => new(await server.Http.GetStringAsync("/openapi.json"));

    /// <summary>The same of every server, read once.</summary>
    public static Task<PublishedApi> SharedAsync(RunningServer server) => shared ??= ReadAsync(server);

    /// <summary>The operation that a path under either address of OpenAI's dialect belongs to.</summary>
    public Operation? FindOpenAI(HttpMethod method, string path)
    {
        string[] parts = path.Split('?')[0].Split('/');
        string[] own = parts[1] == "v1" ? parts[1..] : parts[6..];
        return Operations.Where(o => o.IsOpenAI && o.Method.Equals(method.Method, StringComparison.OrdinalIgnoreCase)).FirstOrDefault(o =>
        {
            string[] pattern = o.Path.Split('/')[1..];
            return (pattern.Length == own.Length || (pattern[^1] == "{model}" && pattern.Length < own.Length)) && pattern.Zip(own).All(p => p.First == p.Second || p.First[0] == '{');
        });
    }

    /// <summary>What is wrong with an answer; null: nothing.</summary>
    public string? CheckAnswer(Operation operation, HttpStatusCode status, string mediaType, string body)
    {
        if (!operation.Responses.TryGetPropertyValue(((int)status).ToString(), out var response))
            return $"{(int)status} is not in the document";
        if (response!["content"]![mediaType] is not { } media)
            return $"{(int)status} {mediaType} is not in the document";
        return mediaType switch
        {
            "application/json" => Check(media["schema"]!, JsonElement.Parse(body)),
            "text/event-stream" when operation.IsOpenAI => body.Split('\n').Where(line => line.StartsWith("data: ", StringComparison.Ordinal)).Select(line => CheckEvent(operation, line[6..])).FirstOrDefault(wrong => wrong is not null),
            _ => null,
        };
    }

    /// <summary>What is wrong with the data of an event.</summary>
    public string? CheckEvent(Operation operation, string data) =>
        data == "[DONE]" ? null : Check(operation.Responses["200"]!["content"]!["text/event-stream"]!["schema"]!, JsonElement.Parse(data));

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
            schemas.TryAdd(text, compiled = JsonSchema.FromText(whole.ToJsonString().Replace("#/components/schemas/", "#/$defs/", StringComparison.Ordinal)));
        }
        var result = compiled.Evaluate(value, Options);
        return result.IsValid ? null : string.Join("; ", (result.Details ?? []).Where(d => d.Errors is not null).SelectMany(d => d.Errors!.Select(e => $"{d.InstanceLocation}: {e.Value}")).Take(5));
    }
}
