using System.Text.Json.Nodes;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.OpenApi;
using Microsoft.OpenApi.Reader;

namespace Hone.Server.Hosting;

/// <summary>
/// Describes endpoints for the reference page. Bodies are described here and not with <c>Accepts</c>, which would refuse the content types that clients really send.
/// </summary>
internal static class ApiDescription
{
    public static RouteHandlerBuilder Answers<T>(this RouteHandlerBuilder endpoint) => endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
    {
        var result = await context.GetOrCreateSchemaAsync(typeof(T), null, cancellationToken);
        operation.Responses = new OpenApiResponses
        {
            ["200"] = new OpenApiResponse
            {
                Description = "The envelope with the result",
                Content = new Dictionary<string, OpenApiMediaType> { ["application/json"] = new() { Schema = EnvelopeOf(result) } },
            },
            ["4XX"] = new OpenApiResponse { Description = "The envelope with success false and every error as {code, message}" },
        };
    });

    public static RouteHandlerBuilder TakesJson<T>(this RouteHandlerBuilder endpoint) => endpoint.AddOpenApiOperationTransformer(async (operation, context, cancellationToken) =>
        operation.RequestBody = Body("application/json", await context.GetOrCreateSchemaAsync(typeof(T), null, cancellationToken)));

    /// <summary>A body that a table of fields describes.</summary>
    public static RouteHandlerBuilder TakesJson(this RouteHandlerBuilder endpoint, Func<JsonObject> schema) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        operation.RequestBody = Body("application/json", Parse(schema()));
        return Task.CompletedTask;
    });

    private static OpenApiSchema Parse(JsonObject schema) =>
        OpenApiModelFactory.Parse<OpenApiSchema>(schema.ToJsonString(), OpenApiSpecVersion.OpenApi3_1, new OpenApiDocument(), out _, OpenApiConstants.Json)
        ?? throw new InvalidOperationException("A schema of the API cannot be read.");

    public static RouteHandlerBuilder TakesUpload(this RouteHandlerBuilder endpoint) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        operation.RequestBody = Body("multipart/form-data", new OpenApiSchema
        {
            Type = JsonSchemaType.Object,
            Required = new HashSet<string> { "file_name", "file" },
            Properties = new Dictionary<string, IOpenApiSchema>
            {
                ["file_name"] = new OpenApiSchema { Type = JsonSchemaType.String },
                ["file"] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "binary" },
            },
        });
        return Task.CompletedTask;
    });

    public static RouteHandlerBuilder TakesQuery(this RouteHandlerBuilder endpoint, string name, string description) => endpoint.AddOpenApiOperationTransformer((operation, _, _) =>
    {
        (operation.Parameters ??= []).Add(new OpenApiParameter { Name = name, In = ParameterLocation.Query, Description = description, Schema = new OpenApiSchema { Type = JsonSchemaType.String } });
        return Task.CompletedTask;
    });

    /// <summary>Title, servers and the ways to authenticate.</summary>
    public static Task DescribeDocument(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellationToken)
    {
        document.Info = new OpenApiInfo
        {
            Title = "Hone",
            Version = "v4",
            Description = "Fine-tuning on your own hardware, spoken to as to Cloudflare Workers AI. Every answer is {result, success, errors, messages}.",
        };
        document.Components ??= new OpenApiComponents();
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
        return Task.CompletedTask;
    }

    private static OpenApiSchema EnvelopeOf(IOpenApiSchema result) => new()
    {
        Type = JsonSchemaType.Object,
        Properties = new Dictionary<string, IOpenApiSchema>
        {
            ["result"] = result,
            ["success"] = new OpenApiSchema { Type = JsonSchemaType.Boolean },
            ["errors"] = new OpenApiSchema { Type = JsonSchemaType.Array, Items = new OpenApiSchema { Type = JsonSchemaType.Object } },
            ["messages"] = new OpenApiSchema { Type = JsonSchemaType.Array, Items = new OpenApiSchema { Type = JsonSchemaType.Object } },
        },
    };

    private static OpenApiRequestBody Body(string contentType, IOpenApiSchema schema) =>
        new() { Required = true, Content = new Dictionary<string, OpenApiMediaType> { [contentType] = new() { Schema = schema } } };
}
