using Hone.Core;
using Hone.Core.Processes;

namespace Hone.Server.Tests.Cloudflare;

/// <summary>Bad input of <c>ai/run</c>: refused before any engine starts.</summary>
public sealed class RunInputTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Theory]
    [InlineData("{}", "'prompt' and 'messages' is required")]
    [InlineData("""{"prompt":"a","messages":[{"role":"user","content":"a"}]}""", "exclude each other")]
    [InlineData("""{"prompt":""}""", "0 characters")]
    [InlineData("""{"prompt":5}""", "'prompt' is a number (5)")]
    [InlineData("""{"messages":[]}""", "0 items")]
    [InlineData("""{"messages":"x"}""", "an array")]
    [InlineData("""{"messages":[{"content":"x"}]}""", "messages[0].role")]
    [InlineData("""{"messages":[{"role":"user","content":"x"},{"role":"user"}]}""", "messages[1].content")]
    [InlineData("""{"messages":[{"role":"user","content":7}]}""", "messages[0].content")]
    [InlineData("""{"messages":[5]}""", "messages[0]")]
    [InlineData("""{"prompt":"a","max_tokens":0}""", "'max_tokens' is 0")]
    [InlineData("""{"prompt":"a","max_tokens":1.5}""", "an integer")]
    [InlineData("""{"prompt":"a","temperature":6}""", "between 0 and 5")]
    [InlineData("""{"prompt":"a","temperature":"hot"}""", "'temperature' is a string")]
    [InlineData("""{"prompt":"a","top_p":3}""", "'top_p' is 3")]
    [InlineData("""{"prompt":"a","top_k":51}""", "'top_k' is 51")]
    [InlineData("""{"prompt":"a","seed":1e300}""", "'seed'")]
    [InlineData("""{"prompt":"a","repetition_penalty":0}""", "above 0")]
    [InlineData("""{"prompt":"a","raw":"maybe"}""", "'raw' is a string")]
    [InlineData("""{"prompt":"a","stream":1}""", "'stream' is a number")]
    [InlineData("""{"prompt":"a","lora":["x"]}""", "'lora' is an array")]
    [InlineData("""{"prompt":"a","tools":{}}""", "must be a list of functions")]
    [InlineData("""{"prompt":"a","response_format":{"type":"xml"}}""", "response_format")]
    [InlineData("""{"prompt":"a","response_format":{"type":"json_schema"}}""", "'response_format.json_schema' must be an object")]
    [InlineData("""{"prompt":"a","response_format":{"type":"json_schema","json_schema":{"properties":{"a":{"multipleOf":3}}}}}""", "$.properties.a.multipleOf: the keyword 'multipleOf' is not enforced")]
    [InlineData("""{"prompt":"a","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"not":{}}}}}""", "$.not")]
    [InlineData("""{"prompt":"a","tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"u":{"type":"string","format":"iri"}}}}}]}""", "tools[0].function.parameters.properties.u.format")]
    [InlineData("""{"prompt":"a","tools":[{"name":"f"},{"name":"f"}]}""", "two functions are called f")]
    [InlineData("""{"prompt":"a","tool_choice":"required"}""", "there are no tools")]
    [InlineData("""{"prompt":"a","tools":[{"name":"f"}],"tool_choice":{"name":"g"}}""", "no tool is called 'g'")]
    [InlineData("""{"messages":[{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url","image_url":{"url":"data:,"}}]}]}""", "messages[0].content[1]")]
    [InlineData("""{"messages":[{"role":"user","content":"a"}],"raw":true}""", "'raw' goes with 'prompt'")]
    [InlineData("""{"prompt":"a","options":{"rejectIfBusy":"yes"}}""", "'options.rejectIfBusy' is a string")]
    [InlineData("""{"prompt":"a","options":5}""", "'options' is a number")]
    [InlineData("", "empty")]
    [InlineData("{\"prompt\":", "line 1, byte 11")]
    public async Task Run_BodyThatDoesNotFit_Is5006(string body, string part)
    {
        var account = await server.NewAccountAsync();
        var reply = (await account.PostAsync($"/ai/run/{RunningServer.Model}", body)).MustFail(400, 5006, part);
        Assert.StartsWith("5006: AiError: Bad input: ", reply.Errors[0], StringComparison.Ordinal);
        Assert.Equal("{}", reply.Result.GetRawText());
    }

    [Fact]
    public async Task Run_ManyMistakes_AreAllNamed()
    {
        var account = await server.NewAccountAsync();
        Assert.Equal(4, (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"","top_k":0,"temperature":-1,"seed":"x"}""")).Errors.Count);
    }

    [Theory]
    [InlineData("/ai/run/@cf/meta/llama-unknown")]
    [InlineData("/ai/run/%40cf%2Fmeta%2Fllama-unknown")]
    [InlineData("/ai/run/@cf/meta/llama-unknown/")]
    public async Task Run_UnknownModel_Is5007(string path)
    {
        var account = await server.NewAccountAsync();
        (await account.PostAsync(path, """{"prompt":"a"}""")).MustFail(400, 5007, "No such model @cf/meta/llama-unknown or task");
    }

    [Fact]
    public async Task RunGeneric_WithoutModelOrInput_Is5006()
    {
        var account = await server.NewAccountAsync();
        Assert.Equal(2, (await account.PostAsync("/ai/run", "{}")).Errors.Count);
        (await account.PostAsync("/ai/run/", """{"model":"@cf/none/x","input":{"prompt":"a"}}""")).MustFail(400, 5007, "@cf/none/x");
        (await account.PostAsync("/ai/run", $$$"""{"model":"{{{RunningServer.Model}}}","input":{"prompt":""}}""")).MustFail(400, 5006, "0 characters");
    }

    [Fact]
    public async Task Run_LoraThatIsNotThere_Is3037AndUnfinishedIs3039()
    {
        var account = await server.NewAccountAsync();
        var stranger = await server.NewAccountAsync();
        (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"a","lora":"nobody"}""")).MustFail(404, 3037, "Finetune nobody not found");
        await account.CreatedAsync("empty");
        (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"a","lora":"empty"}""")).MustFail(400, 3039, "awaiting_assets");
        (await stranger.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"a","lora":"empty"}""")).MustFail(404, 3037, "not found");
        await account.PostAsync("/ai/finetunes/empty/cancel", "");
        (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"a","lora":"empty"}""")).MustFail(400, 3039, "cancelled");
        // A public one is found by all: by its name, and by the reserved form of it.
        await account.CreatedAsync("shared", isPublic: true);
        foreach (string lora in (string[])["shared", "cf-public-shared"])
            (await stranger.PostAsync($"/ai/run/{RunningServer.Model}", $$"""{"prompt":"a","lora":"{{lora}}"}""")).MustFail(400, 3039, "its owner has not finished it");
        (await stranger.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"a","lora":"cf-public-empty"}""")).MustFail(404, 3037, "not found");
    }

    [Fact]
    public async Task Run_HugeBody_Is413()
    {
        var account = await server.NewAccountAsync();
        (await account.PostAsync($"/ai/run/{RunningServer.Model}", $$"""{"prompt":"{{new string('x', 17 << 20)}}"}""")).MustFail(413, 3006, "too large");
    }
}

/// <summary>Answers, streams and failures of an engine; a scripted child stands in for its native code.</summary>
[Trait("Category", "Native")]
public sealed class RunEndpointTests : IAsyncLifetime
{
    private readonly RunningServer server = new();

    public async ValueTask InitializeAsync()
    {
        string script = Path.Combine(server.Folder, "script");
        await File.WriteAllTextAsync(script, "");
        await server.StartAsync(new HoneLimits(), new HoneExecutable(Path.Combine(AppContext.BaseDirectory, "Hone.Core.Tests.Child"), ["--script", script]), maxRequests: 2);
    }

    public ValueTask DisposeAsync() => server.DisposeAsync();

    [Theory]
    [InlineData("/ai/run/@cf/huggingfacetb/smollm2-135m-instruct")]
    [InlineData("/ai/run/@cf%2Fhuggingfacetb%2Fsmollm2-135m-instruct")]
    [InlineData("/ai/run/%40cf%2fhuggingfacetb%2fsmollm2-135m-instruct/")]
    public async Task Run_AnyWayToWriteTheModel_AnswersTextAndUsage(string path)
    {
        var account = await server.NewAccountAsync();
        var result = (await account.PostAsync(path, """{"prompt":"say Hello ,  Wörld","raw":"true","unknown":1}""", "text/plain")).MustSucceed().Result;
        Assert.Equal("Hello,Wörld", result.GetProperty("response").GetString());
        Assert.Equal("""{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}""", result.GetProperty("usage").GetRawText());
    }

    [Fact]
    public async Task RunGeneric_ModelInBody_AnswersText()
    {
        var account = await server.NewAccountAsync();
        Assert.Equal("hi", (await account.PostAsync("/ai/run", $$$"""{"model":"{{{RunningServer.Model}}}","input":{"prompt":"say hi"},"options":{}}""")).MustSucceed().Result.GetProperty("response").GetString());
    }

    [Fact]
    public async Task Run_Stream_SendsPiecesUsageAndDone()
    {
        var account = await server.NewAccountAsync();
        using var stream = await StreamAsync(account, "say a  b");
        Assert.Equal("""{"response":"a"}""", (await stream.NextAsync())!.Text);
        // The empty piece between is held back.
        Assert.Equal("""{"response":"b"}""", (await stream.NextAsync())!.Text);
        Assert.Equal("""{"response":"","usage":{"prompt_tokens":3,"completion_tokens":3,"total_tokens":6}}""", (await stream.NextAsync())!.Text);
        Assert.Equal("[DONE]", (await stream.NextAsync())!.Text);
        Assert.Null(await stream.NextAsync());
    }

    [Fact]
    public async Task Run_Settings_ReachTheEngine()
    {
        var account = await server.NewAccountAsync();
        const string Settings = "\"raw\":true,\"max_tokens\":9,\"temperature\":0.5,\"top_p\":0.9,\"top_k\":7,\"seed\":5,\"repetition_penalty\":1.1,\"frequency_penalty\":1,\"presence_penalty\":-1";
        var request = await AskedAsync($$"""{"prompt":"request",{{Settings}}}""");
        Assert.Equal(("request", true, 9, 0.5, 0.9, 7, 5, 1.1, 1.0, -1.0), (request.GetProperty("prompt").GetString(), request.GetProperty("raw").GetBoolean(), (int)Number("max_tokens"), Number("temperature"), Number("top_p"),
            (int)Number("top_k"), (int)Number("seed"), Number("repetition_penalty"), Number("frequency_penalty"), Number("presence_penalty")));
        request = await AskedAsync("""{"prompt":"request"}""");
        Assert.Equal((256, 0.6, 1.0, 1.0, 0.0, 0.0), ((int)Number("max_tokens"), Number("temperature"), Number("top_p"), Number("repetition_penalty"), Number("frequency_penalty"), Number("presence_penalty")));
        request = await AskedAsync("""{"messages":[{"role":"system","content":[{"type":"text","text":"Be "},{"type":"text","text":"brief."}]},{"role":"user","content":"request"}]}""");
        Assert.Equal("""[{"role":"system","content":[{"type":"text","text":"Be "},{"type":"text","text":"brief."}]},{"role":"user","content":"request"}]""", request.GetProperty("messages").GetRawText());

        double Number(string name) => request.GetProperty(name).GetDouble();
        async Task<System.Text.Json.JsonElement> AskedAsync(string body) =>
            System.Text.Json.JsonElement.Parse((await account.PostAsync($"/ai/run/{RunningServer.Model}", body)).MustSucceed().Result.GetProperty("response").GetString()!);
    }

    [Fact]
    public async Task Run_AnyAnswer_FitsTheSchemaThatTheModelPublishes()
    {
        var account = await server.NewAccountAsync();
        var output = Json.Schema.JsonSchema.FromText((await account.GetAsync($"/ai/models/schema?model={RunningServer.Model}")).MustSucceed().Result.GetProperty("output").GetRawText());
        foreach (string body in (string[])["""{"prompt":"say x"}""", """{"prompt":"begin x"}""", """{"prompt":"say {\"a\":1}","response_format":{"type":"json_object"}}""", """{"prompt":"call f {}","tools":[{"name":"f"}]}"""])
        {
            var result = (await account.PostAsync($"/ai/run/{RunningServer.Model}", body)).MustSucceed().Result;
            Assert.True(output.Evaluate(result).IsValid, result.GetRawText());
        }
        Assert.False(output.Evaluate(System.Text.Json.JsonElement.Parse("""{"usage":{}}""")).IsValid);
    }

    [Theory]
    [InlineData("""{"type":"json_object"}""")]
    [InlineData("""{"type":"json_schema","json_schema":{"type":"object","properties":{"a":{"type":"integer"}}}}""")]
    [InlineData("""{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object"}}}""")]
    public async Task Run_ResponseFormat_AnswersTheValueOrWhatThereIsOfIt(string format)
    {
        var account = await server.NewAccountAsync();
        var whole = (await account.PostAsync($"/ai/run/{RunningServer.Model}", $$"""{"prompt":"say {\"a\":1}","response_format":{{format}}}""")).MustSucceed().Result;
        Assert.Equal("""{"response":{"a":1},"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}""", whole.GetRawText());
        var cut = (await account.PostAsync($"/ai/run/{RunningServer.Model}", $$"""{"prompt":"begin {\"a\":","response_format":{{format}}}""")).MustSucceed().Result;
        Assert.Equal(("{\"a\":", "length"), (cut.GetProperty("response").GetString(), cut.GetProperty("finish_reason").GetString()));
    }

    [Fact]
    public async Task Run_Tools_AnswersCallsWithArgumentsAsObjects()
    {
        var account = await server.NewAccountAsync();
        const string Body = """{"prompt":"call f {\"x\":[1]}","tools":[{"name":"f","description":"d","parameters":{"type":"object","properties":{"x":{"type":"array"}}}}]""";
        var result = (await account.PostAsync($"/ai/run/{RunningServer.Model}", Body + "}")).MustSucceed().Result;
        Assert.Equal("""{"response":"","tool_calls":[{"name":"f","arguments":{"x":[1]}}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}""", result.GetRawText());
        using var stream = await EventReader.OpenAsync(account.Server, account.Request(HttpMethod.Post, $"/ai/run/{RunningServer.Model}", TestAccount.Text(Body + ",\"stream\":true}")));
        Assert.Equal("""{"response":"","tool_calls":[{"name":"f","arguments":{"x":[1]}}]}""", (await stream.NextAsync())!.Text);
        Assert.Equal("""{"response":"","usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}}""", (await stream.NextAsync())!.Text);
        Assert.Equal("[DONE]", (await stream.NextAsync())!.Text);
    }

    [Fact]
    public async Task Run_EngineRefuses_IsTheCallersError()
    {
        var account = await server.NewAccountAsync();
        (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"refuse"}""")).MustFail(400, 5021, "too long");
        // Before the first piece even a stream has a status of its own.
        (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"refuse","stream":true}""")).MustFail(400, 5021, "too long");
    }

    [Fact]
    public async Task Run_EngineCrashes_Is500AndTheNextRequestWorks()
    {
        var account = await server.NewAccountAsync();
        (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"crash"}""")).MustFail(500, 3043, "AiError: Internal server error");
        Assert.Equal("ok", (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"say ok"}""")).MustSucceed().Result.GetProperty("response").GetString());
    }

    [Fact]
    public async Task Run_EngineCrashesInAStream_EndsWithAnErrorEventAndNoDone()
    {
        var account = await server.NewAccountAsync();
        using var stream = await StreamAsync(account, "crash");
        Assert.Equal("one", (await stream.NextAsync())!.Data.GetProperty("response").GetString());
        var error = (await stream.NextAsync())!;
        Assert.Equal("error", error.Name);
        Assert.False(error.Data.GetProperty("success").GetBoolean());
        Assert.Equal(3043, error.Data.GetProperty("errors")[0].GetProperty("code").GetInt32());
        Assert.Null(await stream.NextAsync());
    }

    [Fact]
    public async Task Run_QueueFullOrRejectIfBusy_Is3040()
    {
        var account = await server.NewAccountAsync();
        string fifo = Path.Combine(server.Folder, "fifo");
        Assert.Equal(0, await MakeFifoAsync(fifo));
        using var first = await StreamAsync(account, $"hold {fifo}");
        Assert.NotNull(await first.NextAsync());
        (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"say x","options":{"rejectIfBusy":true}}""")).MustFail(429, 3040, "Capacity temporarily exceeded, please try again.");
        (await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"say x"}""")).MustSucceed();
        using var second = await StreamAsync(account, $"hold {fifo}");
        Assert.NotNull(await second.NextAsync());
        var full = (await account.PostAsync("/ai/run", $$$"""{"model":"{{{RunningServer.Model}}}","input":{"prompt":"say x"}}""")).MustFail(429, 3040, "Capacity");
        Assert.NotNull(full.Headers.RetryAfter);
        // A client that hangs up stops its generation: the engine tells by the pipe that its client is gone.
        var heard = Task.Run(() =>
        {
            using var pipe = new FileStream(fifo, FileMode.Open, FileAccess.Read);
            return pipe.ReadByte();
        });
        first.Dispose();
        Assert.Equal(1, await heard.WaitAsync(RunningServer.Patience));
    }

    private static async Task<EventReader> StreamAsync(TestAccount account, string prompt) => await EventReader.OpenAsync(account.Server,
        account.Request(HttpMethod.Post, $"/ai/run/{RunningServer.Model}", TestAccount.Text($$"""{"prompt":"{{prompt}}","stream":true}""")));

    private static async Task<int> MakeFifoAsync(string path)
    {
        using var process = System.Diagnostics.Process.Start("mkfifo", [path]);
        await process.WaitForExitAsync();
        return process.ExitCode;
    }
}
