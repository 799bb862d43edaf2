using System.Text.Json;
using Hone.Core;
using Hone.Core.Processes;
using Hone.Server.Auth;

namespace Hone.Server.Tests.Cloudflare;

/// <summary>Every row of the error table, by a request that provokes it. 5005 is missing: no base is served that does not take a LoRA.</summary>
[Trait("Category", "Native")]
public sealed class ErrorTableTests(ErrorTableTests.Server server) : IClassFixture<ErrorTableTests.Server>
{
    private const string Unknown = "hone_0000000000000000000000000000000000000000000000";
    private static readonly string Run = $"/ai/run/{RunningServer.Model}";

    private sealed record Row(int Status, int Code, string Message, int? Chain, bool FromAi, Func<TestAccount, Task<Reply>> Provoke);

    private static readonly Dictionary<string, Row> Rows = new()
    {
        ["Authorization malformed"] = new(400, 6003, "Invalid request headers", 6111, false, a => WithHeaders(a, ("Authorization", "Basic dTpw"))),
        ["X-Auth-Key malformed"] = new(400, 6003, "Invalid request headers", 6103, false, a => WithHeaders(a, ("X-Auth-Email", "a@example.org"), ("X-Auth-Key", "short"))),
        ["X-Auth-Email malformed"] = new(400, 6003, "Invalid request headers", 6102, false, a => WithHeaders(a, ("X-Auth-Email", "nobody"), ("X-Auth-Key", a.Key))),
        ["no credential"] = new(403, 10000, "Authentication error", 9106, false, a => WithHeaders(a)),
        ["token unknown"] = new(403, 10000, "Authentication error", null, false, a => a.GetAsync("/ai/finetunes", Unknown)),
        ["permission missing"] = new(403, 10000, "Authentication error", 9109, false, a => a.PostAsync("/ai/finetunes", "{}", token: a.ReadToken)),
        ["other account's verify"] = new(403, 9109, "Unauthorized to access requested resource", null, false, a => a.GetAsync($"/client/v4/accounts/{new string('0', 32)}/tokens/verify")),
        ["verify of an unknown token"] = new(401, 1000, "Invalid API Token", null, false, a => a.GetAsync("/client/v4/user/tokens/verify", Unknown)),
        ["account id malformed"] = new(404, 7003, "Could not route to /client/v4/accounts/x/ai/finetunes, perhaps your object identifier is invalid?", null, false, a => a.GetAsync("/client/v4/accounts/x/ai/finetunes")),
        ["finetune id malformed"] = new(404, 7003, "perhaps your object identifier is invalid?", null, false, a => a.GetAsync("/ai/finetunes/%01")),
        ["path unknown"] = new(404, 7000, "No route for that URI", null, false, a => a.GetAsync("/ai/nothing")),
        ["to-markdown"] = new(404, 7000, "Conversion to Markdown is not offered", null, false, a => a.PostAsync("/ai/to-markdown", "{}")),
        ["tomarkdown supported"] = new(404, 7000, "Conversion to Markdown is not offered", null, false, a => a.GetAsync("/ai/tomarkdown/supported")),
        ["method wrong"] = new(405, 10405, "Method PUT is not allowed for this URI", null, false, a => a.SendAsync(HttpMethod.Put, "/ai/finetunes", TestAccount.Text("{}"))),
        ["body compressed"] = new(415, 10415, "without Content-Encoding gzip", null, false, a =>
        {
            HttpContent body = TestAccount.Text("{}");
            body.Headers.ContentEncoding.Add("gzip");
            return a.SendAsync(HttpMethod.Post, "/ai/finetunes", body);
        }),
        ["JSON malformed"] = new(400, 6007, "Malformed JSON in request body", null, false, a => a.PostAsync("/ai/finetunes", "{")),
        ["model unknown"] = new(400, 1000, "is not known here", null, true, a => a.PostAsync("/ai/finetunes", """{"model":"@cf/none/none","name":"n"}""")),
        ["model empty"] = new(400, 1000, "model is required", null, true, a => a.PostAsync("/ai/finetunes", """{"model":"","name":"n"}""")),
        ["upload to an unknown finetune"] = new(400, 1000, "not found", null, true, a => a.UploadAsync("nobody", "training_data.jsonl", [])),
        ["name too long"] = new(400, 1001, "128 are allowed", null, true, a => a.CreateAsync(new string('n', 129))),
        ["name taken"] = new(409, 1002, "exists already in this account", null, true, async a =>
        {
            await a.CreatedAsync("taken");
            var reply = await a.CreateAsync("taken");
            Assert.Equal("false", reply.Headers.GetValues("x-should-retry").Single());
            return reply;
        }),
        ["account full"] = new(400, 1003, "has 3 finetunes, as many as are allowed", null, true, async a =>
        {
            foreach (string name in (string[])["1", "2", "3"])
                await a.CreateAsync(name);
            return await a.CreateAsync("4");
        }),
        ["file name unknown"] = new(400, 1004, "is not a file that a finetune takes", null, true, async a => await a.UploadAsync(await a.CreatedAsync("f"), "notes.txt", [1])),
        ["form broken"] = new(400, 1004, "multipart/form-data is expected", null, true, async a => await a.PostAsync($"/ai/finetunes/{await a.CreatedAsync("form")}/finetune-assets", "{}")),
        ["range outside the file"] = new(416, 10416, "Content-Range is bytes */10", null, false, async a =>
        {
            (await a.UploadAsync(await a.CreatedAsync("range"), "training_config.json", """{"rank":4}"""u8.ToArray())).MustSucceed();
            using var request = a.Request(HttpMethod.Get, "/ai/finetunes/range/finetune-assets/training_config.json");
            request.Headers.Range = new(10, 20);
            return await Reply.OfAsync(await a.Server.Http.SendAsync(request));
        }),
        ["file stored already"] = new(400, 1005, "stored already, with other bytes", null, true, async a =>
        {
            string id = await a.CreatedAsync("twice");
            (await a.UploadAsync(id, "training_config.json", """{"rank":4}"""u8.ToArray())).MustSucceed();
            return await a.UploadAsync(id, "training_config.json", """{"rank":5}"""u8.ToArray());
        }),
        ["adapter's rank too high"] = new(400, 1006, "at most 8 is accepted", null, true, async a => await a.UploadAsync(await a.CreatedAsync("rank"), "adapter_config.json",
            JsonSerializer.SerializeToUtf8Bytes(new { peft_type = "LORA", r = 9, lora_alpha = 9, target_modules = (string[])["q_proj"], base_model_name_or_path = "x" }))),
        ["training configuration refused"] = new(400, 1007, "rank must be a whole", null, true, async a => await a.UploadAsync(await a.CreatedAsync("rows"), "training_config.json", """{"rank":0}"""u8.ToArray())),
        ["state wrong"] = new(400, 1008, "there is nothing to cancel", null, true, async a =>
        {
            await a.CreatedAsync("ended");
            await a.PostAsync("/ai/finetunes/ended/cancel", "");
            return await a.PostAsync("/ai/finetunes/ended/cancel", "");
        }),
        ["file too large"] = new(413, 3006, "larger than the 65,536 bytes allowed", null, true, async a => await a.UploadAsync(await a.CreatedAsync("large"), "adapter_model.safetensors", new byte[(64 << 10) + 1])),
        ["body too large"] = new(413, 3006, "Request is too large", null, true, a => a.PostAsync("/ai/finetunes", $$"""{"name":"{{new string('x', 1 << 20)}}"}""")),
        ["run's body does not fit"] = new(400, 5006, "AiError: Bad input: 'max_tokens' is 0", null, true, a => a.PostAsync(Run, """{"prompt":"a","max_tokens":0}""")),
        ["schema without a model"] = new(400, 5006, "AiError: Bad input: 'model' is required", null, true, a => a.GetAsync("/ai/models/schema")),
        ["run's model unknown"] = new(400, 5007, "AiError: No such model @cf/none/none or task", null, true, a => a.PostAsync("/ai/run/@cf/none/none", """{"prompt":"a"}""")),
        ["schema's model unknown"] = new(400, 5007, "AiError: No such model @cf/none/none or task", null, true, a => a.GetAsync("/ai/models/schema?model=@cf/none/none")),
        ["finetune lacks files"] = new(400, 3039, "it is awaiting_assets: upload training_data.jsonl", null, true, async a =>
        {
            await a.CreatedAsync("empty");
            return await a.PostAsync(Run, """{"prompt":"a","lora":"empty"}""");
        }),
        ["finetune unknown"] = new(404, 3037, "AiError: AiError: Finetune nobody not found (", null, true, a => a.PostAsync(Run, """{"prompt":"a","lora":"nobody"}""")),
        ["prompt too long"] = new(400, 5021, "AiError: ", null, true, a => a.PostAsync(Run, """{"prompt":"refuse"}""")),
        ["engine crashed"] = new(500, 3043, "AiError: Internal server error", null, true, a => a.PostAsync(Run, """{"prompt":"crash"}""")),
        ["model busy"] = new(429, 3040, "Capacity temporarily exceeded, please try again.", null, true, async a =>
        {
            string fifo = Path.Combine(a.Server.Folder, Guid.NewGuid().ToString("n"));
            using (var made = System.Diagnostics.Process.Start("mkfifo", [fifo]))
                await made.WaitForExitAsync();
            using var other = await EventReader.OpenAsync(a.Server, a.Request(HttpMethod.Post, Run, TestAccount.Text($$"""{"prompt":"hold {{fifo}}","stream":true}""")));
            Assert.NotNull(await other.NextAsync());
            var reply = await a.PostAsync(Run, """{"prompt":"say x","options":{"rejectIfBusy":true}}""");
            Assert.NotNull(reply.Headers.RetryAfter);
            return reply;
        }),
        ["too many requests"] = new(429, 10429, "Rate limited", null, false, async a =>
        {
            Reply reply;
            do
                reply = await a.GetAsync("/ai/tasks/search", a.ReadToken);
            while (reply.Success);
            Assert.InRange(reply.Headers.RetryAfter!.Delta!.Value.TotalSeconds, 1, 300);
            Assert.StartsWith("\"default\";r=0;t=", reply.Headers.GetValues("Ratelimit").Single(), StringComparison.Ordinal);
            return reply;
        }),
    };

    public static TheoryData<string> Names => [.. Rows.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Row_Provoked_HasStatusCodeAndShape(string name)
    {
        var row = Rows[name];
        var reply = (await row.Provoke(await server.Running.NewAccountAsync())).MustFail(row.Status, row.Code, row.Message);
        Assert.Equal(row.FromAi ? "{}" : "null", WithoutLint(reply.Result));
        var error = reply.Body.GetProperty("errors")[0];
        Assert.Equal(row.Chain, error.TryGetProperty("error_chain", out var chain) ? chain.EnumerateArray().Single().GetProperty("code").GetInt32() : null);
        string id = reply.Headers.GetValues("cf-ai-req-id").Single();
        Assert.Equal(error.GetProperty("message").GetString()!.StartsWith("AiError:", StringComparison.Ordinal), error.GetProperty("message").GetString()!.EndsWith($" ({id})", StringComparison.Ordinal));
        Assert.Equal("[]", reply.Body.GetProperty("messages").GetRawText());
        Assert.NotEmpty(reply.Headers.GetValues("cf-ray"));
    }

    /// <summary>What is refused as training data comes with its report.</summary>
    private static string WithoutLint(JsonElement result) => result.ValueKind is JsonValueKind.Object && result.TryGetProperty("lint", out _) ? "{}" : result.GetRawText();

    private static Task<Reply> WithHeaders(TestAccount account, params (string Name, string Value)[] headers) => account.SendAsync(HttpMethod.Get, "/ai/finetunes", headers: given =>
    {
        given.Authorization = null;
        foreach (var (name, value) in headers)
            given.TryAddWithoutValidation(name, value);
    });

    public sealed class Server : IAsyncLifetime
    {
        public RunningServer Running { get; } = new();

        public async ValueTask InitializeAsync()
        {
            string script = Path.Combine(Running.Folder, "script");
            await File.WriteAllTextAsync(script, "");
            await Running.StartAsync(
                new HoneLimits { FinetunesPerAccount = 3, AdapterBytes = 64 << 10, AdapterRank = 8 },
                new HoneExecutable(Path.Combine(AppContext.BaseDirectory, "Hone.Core.Tests.Child"), ["--script", script]), rate: new RateLimit(60, TimeSpan.FromSeconds(300)));
        }

        public ValueTask DisposeAsync() => Running.DisposeAsync();
    }
}
