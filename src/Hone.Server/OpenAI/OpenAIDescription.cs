using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;
using System.Text.Json.Serialization.Metadata;
using Hone.Core.Files;
using Hone.Formats.Inference;
using Hone.Server.Auth;
using Hone.Server.Cloudflare;
using Hone.Server.Hosting;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;

namespace Hone.Server.OpenAI;

/// <summary>Describes this dialect's calls, with examples that are made by the code that answers. They are under the short address; the account's is their other server.</summary>
internal static class OpenAIDescription
{
    public static readonly OpenAIError BadField = new(400, "Unrecognized request argument supplied: colour", "colour", "unknown_parameter");
    public static readonly OpenAIError BadPage = new(400, "'limit' is 'many', it must be a number", "limit");

    private static readonly OpenAIError[] Common =
    [
        OpenAIError.MissingKey, OpenAIError.InvalidKey("wrong-token-1234"), OpenAIError.AccountMismatch, Of(ApiErrors.RateLimited(TimeSpan.FromSeconds(30))), Of(ApiErrors.Internal),
        Of(ApiErrors.StorageFailed(Core.Store.StorageProblem.Failed)), Of(ApiErrors.StorageFailed(Core.Store.StorageProblem.Busy)), Of(ApiErrors.StorageFailed(Core.Store.StorageProblem.DiskFull)),
    ];

    private static readonly OpenAIError[] OfJson = [BadField, OpenAIError.MalformedJson("it is empty"), Of(ApiErrors.TooLarge(1 << 20))];
    private static readonly OpenAIError[] OfForms =
    [
        new(400, "'file' is a required property: the part that holds the file.", "file"), FileEndpoints.Error(new FileRefusal(FileRefusalReason.TooLarge, "file", "The file is larger than the 536870912 bytes allowed.")),
        Of(ApiErrors.TooLarge(512 << 20)),
    ];

    /// <summary>Of calls that generate text.</summary>
    public static readonly OpenAIError[] OfModels =
    [
        OpenAIError.ModelNotFound("none"), OpenAIError.ModelNotReady($"ft:{RunFields.ExampleModel}:023e105f4ecef8ad9ca31a8372d0c353:triage:7f1c2d84-0d58-4c7e-9f6a-2b1d1f4a9a10", "running"),
        Answers.Describe(new GenerateEvent.Failed("too_long", "The prompt has 9000 tokens, the model's context holds 8192.")), Of(ApiErrors.Busy), Of(ApiErrors.EngineFailed(500, "The engine ended in the middle of the answer.")),
        Of(ApiErrors.EngineFailed(503, "The engine does not start.")),
    ];

    private static OpenAIError Of(ApiError error) => OpenAIError.From(error, "GET", OpenAIPaths.Short);

    private static readonly OpenAIError ReadOnly = OpenAIError.InsufficientPermissions("The token may only read.");

    /// <param name="errors">Beside those that every call has.</param>
    public static RouteHandlerBuilder Gives<T>(this RouteHandlerBuilder endpoint, T example, JsonTypeInfo<T> type, params OpenAIError[] errors) => endpoint.AddOpenApiOperationTransformer((operation, context, _) =>
    {
        Respond(operation, context, "application/json", ApiDescription.Parse(SchemaOf(type)), JsonSerializer.SerializeToNode(example, type), errors);
        return Task.CompletedTask;
    });

    /// <summary>A stream of events beside the answer that is described already: the schema is that of one event's data.</summary>
    public static RouteHandlerBuilder Streams<T>(this RouteHandlerBuilder endpoint, T example, JsonTypeInfo<T> type) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        operation.Responses!["200"].Content!["text/event-stream"] = new OpenApiMediaType
        {
            Schema = new OpenApiSchema { Description = "The data of one event. The last event's is [DONE], which is not JSON.", AnyOf = [ApiDescription.Parse(SchemaOf(type)), ErrorSchema()] },
            Example = JsonSerializer.SerializeToNode(example, type),
        };
        return Task.CompletedTask;
    });

    public static RouteHandlerBuilder GivesBytes(this RouteHandlerBuilder endpoint, params OpenAIError[] errors) => endpoint.AddOpenApiOperationTransformer((operation, context, _) =>
    {
        Respond(operation, context, "application/octet-stream", new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" }, null, errors);
        return Task.CompletedTask;
    });

    public static RouteHandlerBuilder TakesForm(this RouteHandlerBuilder endpoint, string file, params string[] texts) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        var properties = texts.ToDictionary(name => name, IOpenApiSchema (_) => new OpenApiSchema { Type = JsonSchemaType.String });
        properties[file] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" };
        operation.RequestBody = ApiDescription.Body("multipart/form-data", new OpenApiSchema { Type = JsonSchemaType.Object, Required = properties.Keys.ToHashSet(), Properties = properties }, null);
        return Task.CompletedTask;
    });

    public static RouteHandlerBuilder TakesPage(this RouteHandlerBuilder endpoint) =>
        endpoint.TakesQuery("after", "The id after which the page begins").TakesQuery("limit", "Most items of a page", "20");

    /// <summary>Both of the dialect's addresses.</summary>
    public static void Address(IOpenApiPathItem item) => ((OpenApiPathItem)item).Servers =
    [
        new OpenApiServer { Url = "/", Description = "For the account that the key belongs to" },
        new OpenApiServer
        {
            Url = OpenAIPaths.OfAccount[..^OpenAIPaths.Short.Length],
            Description = "For the account that is named",
            Variables = new Dictionary<string, OpenApiServerVariable> { ["account_id"] = new() { Default = "023e105f4ecef8ad9ca31a8372d0c353", Description = "32 hex digits" } },
        },
    ];

    private static void Respond(OpenApiOperation operation, OpenApiOperationTransformerContext context, string contentType, IOpenApiSchema schema, JsonNode? example, IEnumerable<OpenAIError> errors)
    {
        operation.Responses = new OpenApiResponses
        {
            ["200"] = new OpenApiResponse { Description = "It worked", Content = new Dictionary<string, OpenApiMediaType> { [contentType] = new() { Schema = schema, Example = example } } },
        };
        bool writes = context.Description.ActionDescriptor.EndpointMetadata.OfType<WritePermission>().Any();
        var ofBody = operation.RequestBody is not { Content: { } content } ? [] : content.ContainsKey("application/json") ? OfJson : OfForms;
        foreach (var group in errors.Concat(Common).Concat(ofBody).Concat(writes ? [ReadOnly] : []).DistinctBy(e => e.Message).GroupBy(e => e.Status))
        {
            var examples = new Dictionary<string, IOpenApiExample>();
            foreach (var error in group)
            {
                string name = error.Code ?? error.Type;
                examples.Add(examples.ContainsKey(name) ? $"{name}_{examples.Count + 1}" : name, new OpenApiExample { Value = Written(error) });
            }
            operation.Responses[group.Key.ToString()] = new OpenApiResponse
            {
                Description = string.Join("\n\n", group.Select(e => e.Message).Distinct()),
                Content = new Dictionary<string, OpenApiMediaType> { ["application/json"] = new() { Schema = ErrorSchema(), Examples = examples } },
            };
        }
    }

    private static JsonObject SchemaOf(JsonTypeInfo type)
    {
        var schema = type.GetJsonSchemaAsNode(new JsonSchemaExporterOptions
        {
            TreatNullObliviousAsNonNullable = true,
            TransformSchemaNode = (context, node) =>
            {
                // Any value at all.
                if (node is JsonValue)
                    return new JsonObject();
                // A constant of the type, which has no parameter that would say so.
                if (context.PropertyInfo is { Set: null, IsGetNullable: false } && node["type"] is JsonArray types)
                    types.RemoveAll(t => t?.GetValue<string>() == "null");
                return node;
            },
        });
        Inline(schema, schema);
        return schema.AsObject();
    }

    /// <summary>A type that comes twice is a reference into its own schema, which leads elsewhere within the document.</summary>
    private static void Inline(JsonNode? node, JsonNode whole)
    {
        if (node is JsonArray items)
        {
            foreach (var item in items)
                Inline(item, whole);
            return;
        }
        if (node is not JsonObject schema)
            return;
        if (schema["$ref"]?.GetValue<string>() is { } reference)
        {
            var target = reference.Split('/').Skip(1).Aggregate(whole, (at, name) => at[name]!).AsObject();
            schema.Remove("$ref");
            foreach (var (name, value) in target)
                schema[name] = value?.DeepClone();
        }
        foreach (var (_, value) in schema)
            Inline(value, whole);
    }

    private static JsonNode? Written(OpenAIError error)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
            error.WriteBody(writer);
        return JsonNode.Parse(Encoding.UTF8.GetString(stream.ToArray()));
    }

    private static OpenApiSchema ErrorSchema() => ApiDescription.Parse((JsonObject)JsonNode.Parse("""
        {"type":"object","required":["error"],"properties":{"error":{"type":"object","required":["message","type","param","code"],"properties":{
        "message":{"type":"string"},"type":{"type":"string"},"param":{"type":["string","null"]},"code":{"type":["string","null"]}}}}}
        """)!);
}
