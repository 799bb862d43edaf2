using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Hone.Server.Cloudflare;
using Hone.Server.OpenAI;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using Microsoft.OpenApi.Reader;

namespace Hone.Server.Hosting;

/// <summary>
/// Describes endpoints: what they take, what they answer, and every error, with examples that are made by the code that answers. Bodies are described here and
/// not with <c>Accepts</c>, which would refuse the content types that clients really send.
/// </summary>
internal static class ApiDescription
{
    private const string ErrorSchema = "Error";

    /// <summary>What any call that needs a credential may be answered with.</summary>
    private static readonly ApiError[] Common =
    [
        ApiErrors.InvalidHeader(6111, "Invalid format for Authorization header"), ApiErrors.AuthenticationError, ApiErrors.MissingCredentials,
        ApiErrors.RateLimited(TimeSpan.FromSeconds(30)), ApiErrors.Internal, ApiErrors.StorageFailed(Core.Store.StorageProblem.Failed),
        ApiErrors.StorageFailed(Core.Store.StorageProblem.Busy), ApiErrors.StorageFailed(Core.Store.StorageProblem.DiskFull),
    ];

    /// <param name="example">Of <c>result</c>.</param>
    /// <param name="errors">Beside those that every call has.</param>
    public static RouteHandlerBuilder Answers<T>(this RouteHandlerBuilder endpoint, T example, JsonTypeInfo<T> type, params ApiError[] errors) => endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
    {
        var result = await context.GetOrCreateSchemaAsync(typeof(T), null, cancellationToken);
        Respond(operation, "application/json", EnvelopeOf(result), Written(new Answer<T>(example, type).Write), errors);
    });

    /// <summary>Or another result in the envelope.</summary>
    public static RouteHandlerBuilder OrAnswers<T>(this RouteHandlerBuilder endpoint) => endpoint.Or<T>(EnvelopeOf);

    /// <summary>Or another form altogether.</summary>
    public static RouteHandlerBuilder OrAnswersBare<T>(this RouteHandlerBuilder endpoint) => endpoint.Or<T>(schema => schema);

    private static RouteHandlerBuilder Or<T>(this RouteHandlerBuilder endpoint, Func<IOpenApiSchema, IOpenApiSchema> shape) => endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
    {
        var other = await context.GetOrCreateSchemaAsync(typeof(T), null, cancellationToken);
        var media = operation.Responses!["200"].Content!["application/json"];
        media.Schema = new OpenApiSchema { AnyOf = [media.Schema!, shape(other)] };
    });

    /// <summary>A file's bytes, by its name's type.</summary>
    public static RouteHandlerBuilder AnswersFile(this RouteHandlerBuilder endpoint, params ApiError[] errors) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        var bytes = new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" };
        Respond(operation, "application/octet-stream", bytes, null, errors);
        foreach (string type in Core.Finetunes.AssetFiles.ContentTypes.Values)
            operation.Responses!["200"].Content![type] = type == "application/json" ? new OpenApiMediaType { Schema = new OpenApiSchema(), Example = new JsonObject { ["n_epochs"] = 3 } } : new OpenApiMediaType { Schema = bytes };
        return Task.CompletedTask;
    });

    /// <summary>A stream of events beside the answer that is described already.</summary>
    public static RouteHandlerBuilder AlsoStreams(this RouteHandlerBuilder endpoint, string example) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        operation.Responses!["200"].Content!["text/event-stream"] = new OpenApiMediaType { Schema = new OpenApiSchema { Type = JsonSchemaType.String }, Example = JsonValue.Create(example) };
        return Task.CompletedTask;
    });

    public static RouteHandlerBuilder TakesJson<T>(this RouteHandlerBuilder endpoint, T example, JsonTypeInfo<T> type) => endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
        operation.RequestBody = Body("application/json", await context.GetOrCreateSchemaAsync(typeof(T), null, cancellationToken), JsonSerializer.SerializeToNode(example, type)));

    /// <summary>A body that a table of fields describes.</summary>
    public static RouteHandlerBuilder TakesJson(this RouteHandlerBuilder endpoint, Func<JsonObject> schema, string example) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        operation.RequestBody = Body("application/json", Parse(schema()), JsonNode.Parse(example));
        return Task.CompletedTask;
    });

    public static RouteHandlerBuilder TakesUpload(this RouteHandlerBuilder endpoint) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        operation.RequestBody = Body("multipart/form-data", new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Required = new HashSet<string> { "file_name", "file" },
            Properties = new Dictionary<string, IOpenApiSchema>
            {
                ["file_name"] = new OpenApiSchema { Type = JsonSchemaType.String, Enum = [.. Core.Finetunes.AssetFiles.Accepted.Select(name => JsonValue.Create(name))] },
                ["file"] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" },
            },
        }, null);
        return Task.CompletedTask;
    });

    public static RouteHandlerBuilder TakesQuery(this RouteHandlerBuilder endpoint, string name, string description, string? example = null, bool required = false) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        (operation.Parameters ??= []).Add(new OpenApiParameter
        {
            Name = name,
            In = ParameterLocation.Query,
            Description = description,
            Required = required,
            Schema = new OpenApiSchema { Type = JsonSchemaType.String },
            Example = example is null ? null : JsonValue.Create(example),
        });
        return Task.CompletedTask;
    });

    /// <summary>Properties that may be null are not required: most are left out then.</summary>
    public static Task DescribeSchema(OpenApiSchema schema, OpenApiSchemaTransformerContext context, CancellationToken cancellationToken)
    {
        foreach (var property in context.JsonTypeInfo.Properties)
        {
            if (!property.IsGetNullable)
                continue;
            schema.Required?.Remove(property.Name);
            // An object that may be null is described without it.
            if (schema.Properties is not null && schema.Properties.TryGetValue(property.Name, out var described) && described is OpenApiSchema { Type: { } type } own)
                own.Type = type | JsonSchemaType.Null;
        }
        return Task.CompletedTask;
    }

    /// <summary>Title, the ways to authenticate, and what all calls have in common.</summary>
    public static Task DescribeDocument(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        document.Info = new OpenApiInfo
        {
            Title = "Hone",
            Version = "v4",
            Description = "Fine-tuning on your own hardware, spoken to as to Cloudflare Workers AI, where every answer is {result, success, errors, messages}, and under /v1 as to OpenAI.",
        };
        document.Components ??= new OpenApiComponents();
        (document.Components.Schemas ??= new Dictionary<string, IOpenApiSchema>())[ErrorSchema] = ErrorEnvelope();
        document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
        {
            ["api_token"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer" },
            ["api_email"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.ApiKey, In = ParameterLocation.Header, Name = "X-Auth-Email" },
            ["api_key"] = new OpenApiSecurityScheme { Type = SecuritySchemeType.ApiKey, In = ParameterLocation.Header, Name = "X-Auth-Key" },
        };
        document.Security =
        [
            new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("api_token", document)] = [] },
            new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("api_email", document)] = [], [new OpenApiSecuritySchemeReference("api_key", document)] = [] },
        ];
        foreach (var (path, item) in document.Paths)
        {
            if (OpenAIPaths.Has(path))
                OpenAIDescription.Address(item);
            foreach (var (_, operation) in item.Operations ?? [])
            {
                // What a handler reads from the path by itself is no parameter of it.
                foreach (string name in path.Split('{').Skip(1).Select(part => part[..part.IndexOf('}')]))
                {
                    var parameters = operation.Parameters ??= [];
                    if (parameters.All(p => p.Name != name))
                        parameters.Add(new OpenApiParameter { Name = name, In = ParameterLocation.Path, Required = true, Schema = new OpenApiSchema { Type = JsonSchemaType.String } });
                }
                foreach (var parameter in operation.Parameters ?? [])
                    Describe((OpenApiParameter)parameter);
                // Errors there have another shape.
                if (OpenAIPaths.Has(path))
                    continue;
                AddErrors(operation, Common);
                if (path.Contains("{account_id}", StringComparison.Ordinal))
                    AddErrors(operation, [ApiErrors.CouldNotRoute(path)]);
                foreach (var response in operation.Responses!.Values)
                {
                    foreach (var media in response.Content?.Values ?? [])
                    {
                        if (media.Schema is null)
                            media.Schema = new OpenApiSchemaReference(ErrorSchema, document);
                    }
                }
            }
        }
        return Task.CompletedTask;
    }

    private static void Describe(OpenApiParameter parameter)
    {
        (string? description, string? example) = parameter.Name switch
        {
            "account_id" => ("32 hex digits", "023e105f4ecef8ad9ca31a8372d0c353"),
            "finetune_id" => ("A finetune's id, or its name", "support-triage"),
            "file_id" => ("A file's id", "file-1"),
            "upload_id" => ("An upload's id", "upload-1"),
            "job_id" => ("A job's id", "ftjob-7f1c2d840d584c7e9f6a2b1d1f4a9a10"),
            "file_name" => ("The asset's name", "adapter_model.safetensors"),
            "model" when parameter.In is ParameterLocation.Path => ("The model's id; its slashes may be written as %2F", RunFields.ExampleModel),
            _ => (parameter.Description, null),
        };
        parameter.Description = description;
        parameter.Example ??= example is null ? null : JsonValue.Create(example);
    }

    private static void Respond(OpenApiOperation operation, string contentType, IOpenApiSchema schema, JsonNode? example, IEnumerable<ApiError> errors)
    {
        operation.Responses = new OpenApiResponses
        {
            ["200"] = new OpenApiResponse { Description = "It worked", Content = new Dictionary<string, OpenApiMediaType> { [contentType] = new() { Schema = schema, Example = example } } },
        };
        AddErrors(operation, errors);
    }

    private static void AddErrors(OpenApiOperation operation, IEnumerable<ApiError> errors)
    {
        foreach (var error in errors)
        {
            string status = error.Status.ToString();
            var responses = operation.Responses ??= [];
            if (!responses.TryGetValue(status, out var response))
            {
                // The schema is the document's, which is not at hand here.
                response = new OpenApiResponse
                {
                    Description = "",
                    Content = new Dictionary<string, OpenApiMediaType> { ["application/json"] = new() { Examples = new Dictionary<string, IOpenApiExample>() } },
                };
                responses[status] = response;
            }
            string name = string.Join("-", error.Errors.SelectMany(e => e.Chain is { } chain ? new[] { e.Code, chain.Code } : [e.Code]).Distinct());
            var examples = response.Content!["application/json"].Examples!;
            if (!examples.TryAdd(name, new OpenApiExample { Value = Written(writer => error.WriteBody(writer, ExampleId)) }))
                continue;
            string line = $"{name}: {error.Errors[0].Message}";
            response.Description = response.Description is { Length: > 0 } before ? $"{before}\n\n{line}" : line;
        }
    }

    private static readonly Guid ExampleId = Guid.Parse("7f1c2d84-0d58-4c7e-9f6a-2b1d1f4a9a10");

    private static JsonNode? Written(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
            write(writer);
        return JsonNode.Parse(Encoding.UTF8.GetString(stream.ToArray()));
    }

    private static OpenApiSchema EnvelopeOf(IOpenApiSchema result) => new()
    {
        Type = JsonSchemaType.Object,
        Required = new HashSet<string> { "result", "success", "errors", "messages" },
        Properties = new Dictionary<string, IOpenApiSchema>
        {
            ["result"] = result,
            ["success"] = new OpenApiSchema { Type = JsonSchemaType.Boolean, Enum = [JsonValue.Create(true)] },
            ["errors"] = new OpenApiSchema { Type = JsonSchemaType.Array, MaxItems = 0 },
            ["messages"] = new OpenApiSchema { Type = JsonSchemaType.Array, Items = MessageSchema() },
            ["result_info"] = new OpenApiSchema { Type = JsonSchemaType.Object, Description = "Of lists: page, per_page, count, total_count, total_pages; or per_page, count, cursor." },
        },
    };

    private static OpenApiSchema ErrorEnvelope()
    {
        var error = MessageSchema();
        error.Properties!["error_chain"] = new OpenApiSchema { Type = JsonSchemaType.Array, Items = MessageSchema() };
        return new()
        {
            Type = JsonSchemaType.Object,
            Required = new HashSet<string> { "result", "success", "errors", "messages" },
            Properties = new Dictionary<string, IOpenApiSchema>
            {
                ["result"] = new OpenApiSchema { Type = JsonSchemaType.Object | JsonSchemaType.Null, Description = "{} from the AI endpoints, with the report under lint where training data was refused; null from the gateway." },
                ["success"] = new OpenApiSchema { Type = JsonSchemaType.Boolean },
                ["errors"] = new OpenApiSchema { Type = JsonSchemaType.Array, MinItems = 1, Items = error },
                ["messages"] = new OpenApiSchema { Type = JsonSchemaType.Array, Items = MessageSchema() },
            },
        };
    }

    private static OpenApiSchema MessageSchema() => new()
    {
        Type = JsonSchemaType.Object,
        Required = new HashSet<string> { "code", "message" },
        Properties = new Dictionary<string, IOpenApiSchema> { ["code"] = new OpenApiSchema { Type = JsonSchemaType.Integer }, ["message"] = new OpenApiSchema { Type = JsonSchemaType.String } },
    };

    public static OpenApiSchema Parse(JsonObject schema) =>
        OpenApiModelFactory.Parse<OpenApiSchema>(schema.ToJsonString(), OpenApiSpecVersion.OpenApi3_1, new OpenApiDocument(), out _, OpenApiConstants.Json)
        ?? throw new InvalidOperationException("A schema of the API cannot be read.");

    public static OpenApiRequestBody Body(string contentType, IOpenApiSchema schema, JsonNode? example) =>
        new() { Required = true, Content = new Dictionary<string, OpenApiMediaType> { [contentType] = new() { Schema = schema, Example = example } } };
}
