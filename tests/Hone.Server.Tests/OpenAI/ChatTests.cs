using System.Text.Json;
using Hone.Core;
using Hone.Core.Processes;

namespace Hone.Server.Tests.OpenAI;

/// <summary>Answers; a scripted child stands in for the engine's native code.</summary>
[Trait("Category", "Native")]
public sealed class ChatTests : IAsyncLifetime
{
    private readonly RunningServer server = new();

    public async ValueTask InitializeAsync()
    {
        string script = Path.Combine(server.Folder, "script");
        await File.WriteAllTextAsync(script, "");
        await server.StartAsync(new HoneLimits(), new HoneExecutable(Path.Combine(AppContext.BaseDirectory, "Hone.Core.Tests.Child"), ["--script", script]));
    }

    public ValueTask DisposeAsync() => server.DisposeAsync();

    private static string Body(string says, string more = "") => $$"""{"model":"{{RunningServer.Model}}","messages":[{"role":"user","content":"{{says}}"}]{{more}}}""";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Chat_Answer_HasTheOriginalsShape(bool shortAddress)
    {
        var client = await OpenAIClient.NewAsync(server, shortAddress);
        var answer = (await client.PostAsync("/chat/completions", Body("say Hello ,  Wörld"))).Must();
        Assert.StartsWith("chatcmpl-", answer.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.Equal(("chat.completion", RunningServer.Model), (answer.GetProperty("object").GetString(), answer.GetProperty("model").GetString()));
        Assert.Equal("""[{"index":0,"message":{"content":"Hello,Wörld","role":"assistant","refusal":null},"logprobs":null,"finish_reason":"stop"}]""", answer.GetProperty("choices").GetRawText());
        Assert.Equal("""{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":0}}""", answer.GetProperty("usage").GetRawText());
    }

    [Fact]
    public async Task Chat_Streamed_GivesPiecesAndUsageWhereAskedFor()
    {
        var client = await OpenAIClient.NewAsync(server);
        var events = await client.StreamAsync("/chat/completions", Body("say one two", ""","stream":true,"stream_options":{"include_usage":true}"""));
        Assert.Equal("[DONE]", events[^1].Text);
        var chunks = events[..^1].Select(e => e.Data).ToList();
        Assert.Single(chunks.Select(c => c.GetProperty("id").GetString()).Distinct());
        Assert.Equal("""{"role":"assistant","content":""}""", chunks[0].GetProperty("choices")[0].GetProperty("delta").GetRawText());
        Assert.Equal("onetwo", string.Concat(chunks[1..3].Select(c => c.GetProperty("choices")[0].GetProperty("delta").GetProperty("content").GetString())));
        Assert.Equal(("{}", "stop"), (chunks[3].GetProperty("choices")[0].GetProperty("delta").GetRawText(), chunks[3].GetProperty("choices")[0].GetProperty("finish_reason").GetString()));
        Assert.Equal((0, 5), (chunks[4].GetProperty("choices").GetArrayLength(), chunks[4].GetProperty("usage").GetProperty("total_tokens").GetInt32()));
        Assert.All(chunks[..^1], c => Assert.Equal(JsonValueKind.Null, c.GetProperty("usage").ValueKind));
        var unasked = await client.StreamAsync("/chat/completions", Body("say one two", ""","stream":true"""));
        Assert.Equal(5, unasked.Count);
        Assert.All(unasked[..^1], e => Assert.False(e.Data.TryGetProperty("usage", out _)));
        var texts = await client.StreamAsync("/completions", $$$"""{"model":"{{{RunningServer.Model}}}","prompt":"say one two","stream":true,"stream_options":{"include_usage":true}}""");
        Assert.All(texts[..^2], e => Assert.Equal(JsonValueKind.Null, e.Data.GetProperty("usage").ValueKind));
        Assert.Equal(5, texts[^2].Data.GetProperty("usage").GetProperty("total_tokens").GetInt32());
    }

    /// <summary>A context may hold more than the other dialect's limit of one text.</summary>
    [Fact]
    public async Task Chat_LongMessage_ReachesTheEngineAsItIs()
    {
        var client = await OpenAIClient.NewAsync(server);
        string word = string.Concat(Enumerable.Repeat("пол😀", 34_000));
        var answer = (await client.PostAsync("/chat/completions", Body($"say {word}"))).Must();
        Assert.Equal(word, answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
    }

    [Fact]
    public async Task Chat_Several_HaveASeedEachAndCountThePromptOnce()
    {
        var client = await OpenAIClient.NewAsync(server);
        var answer = (await client.PostAsync("/chat/completions", Body("seed", ""","n":3,"seed":40"""))).Must();
        Assert.Equal(["40", "41", "42"], answer.GetProperty("choices").EnumerateArray().Select(c => c.GetProperty("message").GetProperty("content").GetString()));
        Assert.Equal("""{"prompt_tokens":1,"completion_tokens":3,"total_tokens":4,"prompt_tokens_details":{"cached_tokens":1}}""", answer.GetProperty("usage").GetRawText());
        Assert.Equal("length", answer.GetProperty("choices")[2].GetProperty("finish_reason").GetString());
        var events = await client.StreamAsync("/chat/completions", Body("seed", ""","n":2,"seed":7,"stream":true"""));
        var texts = events[..^1].SelectMany(e => e.Data.GetProperty("choices").EnumerateArray()).Where(c => c.GetProperty("delta").TryGetProperty("content", out var text) && text.GetString() != "")
            .ToDictionary(c => c.GetProperty("index").GetInt32(), c => c.GetProperty("delta").GetProperty("content").GetString());
        Assert.Equal(("7", "8"), (texts[0], texts[1]));
        // A double holds this number and the one before it as the same.
        answer = (await client.PostAsync("/chat/completions", Body("seed", ""","seed":9007199254740993"""))).Must();
        Assert.Equal("9007199254740993", answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
    }

    [Fact]
    public async Task Chat_Settings_ReachTheEngine()
    {
        var client = await OpenAIClient.NewAsync(server);
        string tools = """[{"type":"function","function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]""";
        var answer = (await client.PostAsync("/chat/completions", $$$$"""
            {"model":"{{{{RunningServer.Model}}}}","messages":[{"role":"developer","content":"Be brief."},{"role":"function","name":"weather","content":"fair"},{"role":"user","content":[{"type":"text","text":"req"},{"type":"text","text":"uest"}]}],
            "temperature":0.5,"top_p":0.9,"top_k":7,"frequency_penalty":1,"presence_penalty":-1,"logit_bias":{"5":-100,"70":1.5},"repetition_penalty":1.1,"seed":5,"max_completion_tokens":9,"stop":["a","b"],"user":"u","store":false,
            "logprobs":true,"top_logprobs":2,"tools":{{{{tools}}}},"tool_choice":{"type":"function","function":{"name":"weather"}},"parallel_tool_calls":false,
            "response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"a":{"type":"string"}}},"strict":true}}}
            """)).Must();
        var request = JsonElement.Parse(answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!);
        Assert.Equal("""[{"role":"system","content":"Be brief."},{"role":"tool","name":"weather","content":"fair"},{"role":"user","content":"request"}]""", request.GetProperty("messages").GetRawText());
        Assert.Equal((0.5, 0.9, 7, 1.0, -1.0, 1.1, 5, 9), (Number("temperature"), Number("top_p"), Number("top_k"), Number("frequency_penalty"), Number("presence_penalty"), Number("repetition_penalty"), Number("seed"), Number("max_tokens")));
        Assert.Equal("""{"5":-100,"70":1.5}""", request.GetProperty("logit_bias").GetRawText());
        Assert.Equal("""["a","b"]""", request.GetProperty("stop").GetRawText());
        Assert.Equal((true, 2.0), (request.GetProperty("logprobs").GetBoolean(), Number("top_logprobs")));
        Assert.Equal(("weather", false), (request.GetProperty("tool_choice").GetString(), request.GetProperty("parallel_tool_calls").GetBoolean()));
        Assert.Equal("""{"type":"object","properties":{"a":{"type":"string"}}}""", request.GetProperty("schema").GetRawText());
        Assert.Equal("weather", request.GetProperty("tools")[0].GetProperty("function").GetProperty("name").GetString());

        double Number(string name) => request.GetProperty(name).GetDouble();
    }

    [Fact]
    public async Task Chat_CallsAndLogprobs_HaveTheOriginalsShape()
    {
        var client = await OpenAIClient.NewAsync(server);
        const string tools = ""","tools":[{"type":"function","function":{"name":"weather"}}]""";
        var choice = (await client.PostAsync("/chat/completions", Body("call weather", tools))).Must().GetProperty("choices")[0];
        Assert.Equal("tool_calls", choice.GetProperty("finish_reason").GetString());
        Assert.Equal(JsonValueKind.Null, choice.GetProperty("message").GetProperty("content").ValueKind);
        var call = choice.GetProperty("message").GetProperty("tool_calls")[0];
        Assert.Equal(("call_1", "function", "weather", """{"city":"Oslo"}"""), (call.GetProperty("id").GetString(), call.GetProperty("type").GetString(), call.GetProperty("function").GetProperty("name").GetString(), call.GetProperty("function").GetProperty("arguments").GetString()));
        var streamed = await client.StreamAsync("/chat/completions", Body("call weather", tools + ""","stream":true"""));
        Assert.Equal(0, streamed[1].Data.GetProperty("choices")[0].GetProperty("delta").GetProperty("tool_calls")[0].GetProperty("index").GetInt32());

        var logprobs = (await client.PostAsync("/chat/completions", Body("probably ö b", ""","logprobs":true,"top_logprobs":2"""))).Must().GetProperty("choices")[0].GetProperty("logprobs").GetProperty("content");
        Assert.Equal("""{"token":"ö","logprob":-0.5,"bytes":[195,182],"top_logprobs":[{"token":"ö","logprob":-0.5,"bytes":[1]},{"token":"x","logprob":-1.5,"bytes":[120]}]}""", logprobs[0].GetRawText());
    }

    [Theory]
    [InlineData("", null, "empty")]
    [InlineData("""{"messages":[{"role":"user","content":"x"}]}""", "model", "you must provide a model parameter")]
    [InlineData("""{"model":"MODEL"}""", "messages", "you must provide a messages parameter")]
    [InlineData("""{"model":"MODEL","messages":[]}""", "messages", "0 items")]
    [InlineData("""{"model":"MODEL","messages":[{"role":"user","content":7}]}""", "messages", "messages[0].content")]
    [InlineData("""{"model":"MODEL","messages":[{"role":"user","content":"x"},{"role":"robot","content":"x"}]}""", "messages", "'messages[1].role' is 'robot', it must be one of system, developer, user, assistant, tool, function")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"temprature":1}""", "temprature", "Unrecognized request argument supplied: temprature")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"temperature":2.1}""", "temperature", "between 0 and 2")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"functions":[]}""", "functions", "use 'tools'")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"audio":{"voice":"x"}}""", "audio", "not offered")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"n":0}""", "n", "between 1 and 16")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"top_logprobs":3}""", "top_logprobs", "wants 'logprobs'")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"stop":["a","b","c","d","e"]}""", "stop", "up to 4")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"stop":""}""", "stop", "none of them empty")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"logit_bias":{"hello":-100}}""", "logit_bias", "by their numbers")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"logit_bias":{"5":-101}}""", "logit_bias", "between -100 and 100")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"logit_bias":[5]}""", "logit_bias", "an object")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"stream_options":{"include_usage":true}}""", "stream_options", "wants 'stream'")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"max_tokens":5,"max_completion_tokens":5}""", "max_tokens", "exclude")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"tool_choice":"required"}""", "tool_choice", "wants 'tools'")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"tools":[{"type":"function","function":{"name":"a"}}],"tool_choice":{"type":"function","function":{"name":"b"}}}""", "tool_choice", "'b'")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"tools":[{"type":"web_search"}]}""", "tools", "no other kind")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"a"}}]}""", "tools", "two functions are called a")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"tools":[{"type":"function","function":{"name":"a","parameters":{"type":"object","properties":{"b":{"not":{}}}}}}]}""", "tools", "tools[0].function.parameters.properties.b.not")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"seed":9223372036854775808}""", "seed", "between")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"temperature":1e400}""", "temperature", "between 0 and 2")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"response_format":{"type":"xml"}}""", "response_format", "json_schema")]
    [InlineData("""{"model":"MODEL","messages":MESSAGES,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","patternProperties":{"a":{}}}}}}""", "response_format", "patternProperties")]
    public async Task Chat_Unsound_NamesTheField(string body, string? param, string part)
    {
        var client = await OpenAIClient.NewAsync(server);
        string text = body.Replace("MODEL", RunningServer.Model, StringComparison.Ordinal).Replace("MESSAGES", """[{"role":"user","content":"say x"}]""", StringComparison.Ordinal);
        (await client.PostAsync("/chat/completions", text)).MustRefuse(400, param, part);
    }

    [Fact]
    public async Task Chat_UnknownModelAndFailures_HaveStatusOrErrorInTheStream()
    {
        var client = await OpenAIClient.NewAsync(server);
        (await client.PostAsync("/chat/completions", """{"model":"gpt-none","messages":[{"role":"user","content":"x"}]}""")).MustRefuse(404, "model", "gpt-none", "model_not_found");
        (await client.PostAsync("/chat/completions", Body("refuse"))).MustRefuse(400, null, "too long", "context_length_exceeded");
        (await client.PostAsync("/chat/completions", Body("cut"))).MustRefuse(500, null, "");
        var broken = await client.StreamAsync("/chat/completions", Body("crash", ""","stream":true"""));
        Assert.Equal("server_error", broken[^1].Data.GetProperty("error").GetProperty("type").GetString());
        string waiting = await client.Account.CreatedAsync("waiting");
        (await client.PostAsync("/chat/completions", $$"""{"model":"ft:{{RunningServer.Model}}:{{client.Account.Id}}:waiting:{{waiting}}","messages":[{"role":"user","content":"x"}]}""")).MustRefuse(400, "model", "validating_files", "model_not_ready");
        (await client.PostAsync("/chat/completions", $$"""{"model":"ft:{{RunningServer.Model}}:{{client.Account.Id}}:other:{{waiting}}","messages":[{"role":"user","content":"x"}]}""")).MustRefuse(404, "model", "other", "model_not_found");
    }

    [Fact]
    public async Task Chat_FullQueue_Is429()
    {
        await using var small = new RunningServer();
        string script = Path.Combine(small.Folder, "script");
        await File.WriteAllTextAsync(script, "");
        await small.StartAsync(new HoneLimits(), new HoneExecutable(Path.Combine(AppContext.BaseDirectory, "Hone.Core.Tests.Child"), ["--script", script]), maxRequests: 1);
        var client = await OpenAIClient.NewAsync(small);
        var busy = await client.PostAsync("/chat/completions", Body("say x", ""","n":4"""));
        busy.MustRefuse(429, null, "Capacity temporarily exceeded", "rate_limit_exceeded");
        Assert.NotNull(busy.Headers.RetryAfter);
        (await client.PostAsync("/chat/completions", Body("say x"))).Must();
    }

    /// <summary>Fields that the official client's types know, as callers write them that leave nothing out.</summary>
    [Fact]
    public async Task Chat_NullInFieldsThatAreNotOffered_CountsAsAbsent()
    {
        var client = await OpenAIClient.NewAsync(server);
        (await client.PostAsync("/chat/completions", Body("say x", ""","audio":null,"web_search_options":null,"functions":null,"function_call":null,"modalities":null"""))).Must();
    }

    [Fact]
    public async Task Completions_PromptsTimesN_AnswerInOrder()
    {
        var client = await OpenAIClient.NewAsync(server);
        var answer = (await client.PostAsync("/completions", $$"""{"model":"{{RunningServer.Model}}","prompt":["say a","say b"],"n":2,"echo":true}""")).Must();
        Assert.Equal(["say aa", "say aa", "say bb", "say bb"], answer.GetProperty("choices").EnumerateArray().Select(c => c.GetProperty("text").GetString()));
        Assert.Equal(("text_completion", 6, 4), (answer.GetProperty("object").GetString(), answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32()));
        var raw = JsonElement.Parse((await client.PostAsync("/completions", $$"""{"model":"{{RunningServer.Model}}","prompt":"request"}""")).Must().GetProperty("choices")[0].GetProperty("text").GetString()!);
        Assert.Equal((true, 16), (raw.GetProperty("raw").GetBoolean(), raw.GetProperty("max_tokens").GetInt32()));
        var logprobs = (await client.PostAsync("/completions", $$"""{"model":"{{RunningServer.Model}}","prompt":"probably one two","logprobs":2}""")).Must().GetProperty("choices")[0].GetProperty("logprobs");
        Assert.Equal("""{"tokens":["one","two"],"token_logprobs":[-0.5,-0.5],"top_logprobs":[{"one":-0.5,"x":-1.5},{"two":-0.5,"x":-1.5}],"text_offset":[0,3]}""", logprobs.GetRawText());
        var events = await client.StreamAsync("/completions", $$"""{"model":"{{RunningServer.Model}}","prompt":"say a b","stream":true}""");
        Assert.Equal(["a", "b", ""], events[..^1].Select(e => e.Data.GetProperty("choices")[0].GetProperty("text").GetString()));
        foreach ((string more, string param) in ((string, string)[])[(""","suffix":"x" """, "suffix"), (""","best_of":2""", "best_of"), (""","logprobs":6""", "logprobs"), (""","max_completion_tokens":6""", "max_completion_tokens")])
            (await client.PostAsync("/completions", $$"""{"model":"{{RunningServer.Model}}","prompt":"say a"{{more}}}""")).MustRefuse(400, param, param);
        foreach (string prompt in (string[])["[]", "\"\"", "[1.5]", "[1,\"a\"]", "[[]]", "[[1],[]]", "{}"])
            (await client.PostAsync("/completions", $$"""{"model":"{{RunningServer.Model}}","prompt":{{prompt}}}""")).MustRefuse(400, "prompt", "the model's tokens by number");
    }
}
