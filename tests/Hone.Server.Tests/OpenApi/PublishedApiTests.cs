using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Routing;
using Microsoft.OpenApi;
using Microsoft.OpenApi.Reader;

namespace Hone.Server.Tests.OpenApi;

public sealed class PublishedApiTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Fact]
    public async Task Document_Microsofts_ReaderFindsNoFault()
    {
        var api = await PublishedApi.ReadAsync(server);
        var read = OpenApiDocument.Parse(api.Json, OpenApiConstants.Json, new OpenApiReaderSettings { RuleSet = ValidationRuleSet.GetDefaultRuleSet() });
        Assert.Empty(read.Diagnostic!.Errors.Select(e => e.ToString()));
        Assert.Empty(read.Diagnostic.Warnings.Select(e => e.ToString()));
        Assert.Equal(OpenApiSpecVersion.OpenApi3_1, read.Diagnostic.SpecificationVersion);
    }

    [Fact]
    public async Task Document_EveryCallOfTheServer_IsThere()
    {
        var api = await PublishedApi.ReadAsync(server);
        var published = api.Operations.Select(o => o.ToString()).ToHashSet();
        var calls = server.Service<IEnumerable<EndpointDataSource>>().SelectMany(source => source.Endpoints).OfType<RouteEndpoint>()
            .Where(e => e.RoutePattern.RawText!.StartsWith("/client/v4", StringComparison.Ordinal) || e.RoutePattern.RawText.StartsWith("/v1/", StringComparison.Ordinal))
            .Where(e => !e.RoutePattern.RawText!.Contains("markdown", StringComparison.Ordinal)
                && !e.RoutePattern.RawText.Contains("/ai/v1/", StringComparison.Ordinal))
            .SelectMany(e => e.Metadata.GetRequiredMetadata<IHttpMethodMetadata>().HttpMethods.Select(method => $"{method} {e.RoutePattern.RawText!.Replace("{**", "{", StringComparison.Ordinal)}"))
            .ToList();
        Assert.True(calls.Count > 40);
        Assert.True(calls.Count(c => c.Contains(" /v1/", StringComparison.Ordinal)) > 20);
        Assert.Empty(calls.Except(published));
    }

    /// <summary>Unknown paths and methods, 7000 and 10405, belong to no call; nor does a base that takes no LoRA exist (5005).</summary>
    [Fact]
    public async Task Document_EveryErrorCode_IsThere()
    {
        var api = await PublishedApi.ReadAsync(server);
        var codes = api.Operations.Where(o => !o.IsOpenAI).SelectMany(o => o.Responses).Where(r => r.Key != "200")
            .SelectMany(r => r.Value!["content"]!["application/json"]!["examples"]!.AsObject()).SelectMany(e => e.Value!["value"]!["errors"]!.AsArray()).Select(e => e!["code"]!.GetValue<int>()).ToHashSet();
        int[] all = [6003, 10000, 9109, 1000, 7003, 6007, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 5006, 5007, 5021, 3039, 3037, 3006, 3040, 10429, 3043, 10507, 10503, 10501, 10500];
        Assert.Empty(all.Except(codes));
        var named = api.Operations.Where(o => o.IsOpenAI).SelectMany(o => o.Responses).Where(r => r.Key != "200")
            .SelectMany(r => r.Value!["content"]!["application/json"]!["examples"]!.AsObject()).Select(e => e.Value!["value"]!["error"]!["code"]?.GetValue<string>()).ToHashSet();
        string[] names =
        [
            "invalid_api_key", "account_mismatch", "insufficient_permissions", "model_not_found", "fine_tune_not_found", "unknown_parameter", "invalid_file", "invalid_job_state", "model_not_ready",
            "context_length_exceeded", "file_too_large", "request_too_large", "insufficient_quota", "rate_limit_exceeded",
        ];
        Assert.Empty(names.Except(named));
    }

    [Fact]
    public async Task Document_Examples_AreThereAndFitTheirSchemas()
    {
        var api = await PublishedApi.ReadAsync(server);
        int checkedExamples = 0;
        Assert.Equal(["Accounts and tokens", "Finetunes", "Models", "OpenAI: files", "OpenAI: fine-tuning", "OpenAI: models"], api.Operations.Select(o => Assert.Single(o.Value["tags"]!.AsArray())!.GetValue<string>()).Distinct().Order(StringComparer.Ordinal));
        foreach (var operation in api.Operations)
        {
            Assert.False(string.IsNullOrEmpty(operation.Value["summary"]?.GetValue<string>()), $"{operation} has no summary");
            Assert.Equal(operation.Path.Split('{').Skip(1).Select(part => part[..part.IndexOf('}')]).Order(), operation.Parameters.Where(p => p["in"]!.GetValue<string>() == "path").Select(p => p["name"]!.GetValue<string>()).Order());
            foreach (var parameter in operation.Parameters)
                Assert.False(string.IsNullOrEmpty(parameter["description"]?.GetValue<string>()), $"{operation}: {parameter["name"]} has no description");
            if (operation.Value["requestBody"]?["content"]?["application/json"] is { } body)
                Check($"{operation} takes", body["schema"]!, body["example"]);
            foreach (var (status, response) in operation.Responses)
            {
                if (response!["content"]?["application/json"] is not { } media)
                    continue;
                if (status == "200")
                    Check($"{operation} answers", media["schema"]!, media["example"]);
                foreach (var (name, example) in media["examples"]?.AsObject() ?? [])
                    Check($"{operation} fails with {status} {name}", media["schema"]!, example!["value"]);
            }
        }
        Assert.True(checkedExamples > 400);

        void Check(string what, JsonNode schema, JsonNode? example)
        {
            Assert.True(example is not null, $"{what}: no example");
            checkedExamples++;
            if (api.Check(schema, JsonElement.Parse(example.ToJsonString())) is { } wrong)
                Assert.Fail($"{what} {example.ToJsonString()}: {wrong} by {schema.ToJsonString()}");
        }
    }
}
