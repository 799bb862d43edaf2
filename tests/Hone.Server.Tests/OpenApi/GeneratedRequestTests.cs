using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Hone.Core;
using Hone.Core.Processes;
using Hone.Server.Tests.OpenAI;

namespace Hone.Server.Tests.OpenApi;

/// <summary>Requests made from the published document, sound ones and broken ones: never a 5xx, never an answer off the schema, never slow, nothing of another account.</summary>
[Trait("Category", "Native")]
public sealed class GeneratedRequestTests : IAsyncLifetime
{
    private const int Requests = 5_000, Seed = 20261128;
    private const string Secret = "strangers-own";
    private static readonly TimeSpan Slow = TimeSpan.FromSeconds(1);

    private readonly RunningServer server = new();

    public async ValueTask InitializeAsync()
    {
        string script = Path.Combine(server.Folder, "script");
        await File.WriteAllTextAsync(script, "");
        await server.StartAsync(new HoneLimits(), new HoneExecutable(Path.Combine(AppContext.BaseDirectory, "Hone.Core.Tests.Child"), ["--script", script]));
    }

    public ValueTask DisposeAsync() => server.DisposeAsync();

    [Fact]
    public async Task Requests_MadeFromTheDocument_AreAnsweredWithinIt()
    {
        var api = await PublishedApi.ReadAsync(server);
        var account = await server.NewAccountAsync();
        var stranger = await server.NewAccountAsync();
        string strangersId = await stranger.CreatedAsync(Secret);
        string[] own = ["one", "two", await account.CreatedAsync("by id")];
        foreach (string name in own[..2])
            await account.CreatedAsync(name);
        // Compiled and started before time counts: the engine, and each call once.
        await account.PostAsync($"/ai/run/{RunningServer.Model}", """{"prompt":"say hello"}""");
        var random = new Random(Seed);
        var openAI = new OpenAIClient(account, "/v1");
        var strangersOpenAI = new OpenAIClient(stranger, "/v1");
        string ended = (await openAI.QueuedJobAsync()).GetProperty("id").GetString()!;
        await openAI.PostAsync($"/fine_tuning/jobs/{ended}/cancel");
        var strangersJob = await strangersOpenAI.QueuedJobAsync($",\"suffix\":\"{Secret}\"");
        var generator = new RequestGenerator(api, random, account, [.. own, strangersId, Secret, "nobody", "%01", "x%2Fy", new string('n', 2000)], ended)
        {
            Strangers = [strangersJob.GetProperty("id").GetString()!, strangersJob.GetProperty("training_file").GetString()!, $"ft:{RunningServer.Model}:{stranger.Id}:{Secret}:{strangersId}"],
        };
        var operations = api.Operations;
        foreach (var operation in operations)
            (await server.Http.SendAsync(generator.Make(operation))).Dispose();
        var statuses = new Dictionary<int, int>();
        var worked = new HashSet<Operation>();
        string? then = null;
        for (int i = 0; i < Requests; i++)
        {
            // What is made by chance is paused, and what is paused is resumed, before chance cancels it.
            var operation = then is null ? operations[random.Next(operations.Count)] : operations.Single(o => o.Method == "post" && o.Path == then);
            using var request = generator.Make(operation);
            string sent = $"request {i}, {operation}: {request.RequestUri} {generator.Body}";
            long start = Stopwatch.GetTimestamp();
            using var response = await server.Http.SendAsync(request);
            string body = await response.Content.ReadAsStringAsync();
            var took = Stopwatch.GetElapsedTime(start);
            int status = (int)response.StatusCode;
            statuses[status] = statuses.GetValueOrDefault(status) + 1;
            string mediaType = response.Content.Headers.ContentType?.MediaType ?? "";
            then = status != 200 || operation.Method != "post" ? null : operation.Path switch
            {
                "/v1/fine_tuning/jobs" => "/v1/fine_tuning/jobs/{job_id}/pause",
                "/v1/fine_tuning/jobs/{job_id}/pause" => "/v1/fine_tuning/jobs/{job_id}/resume",
                _ => null,
            };
            if (status == 200)
                worked.Add(operation);
            if (status == 200 && mediaType == "application/json" && operation is { IsOpenAI: true, Method: "post" })
                generator.Learn(body);
            Assert.True(status < 500, $"{sent} → {status} {body}");
            Assert.True(took < Slow, $"{sent} took {took.TotalMilliseconds:0} ms");
            // An error says back what was asked for, and no more.
            Assert.False(!sent.Contains(stranger.Id, StringComparison.Ordinal) && body.Contains(stranger.Id, StringComparison.Ordinal) || (body.Contains(Secret, StringComparison.Ordinal) && status == 200), $"{sent} → {body} tells of another account");
            if (api.CheckAnswer(operation, response.StatusCode, mediaType, body) is { } wrong)
                Assert.Fail($"{sent} → {status} {body}: {wrong}");
        }
        // Most kinds of answers were seen, so the requests went everywhere.
        foreach (int status in (int[])[200, 400, 403, 404])
            Assert.True(statuses.GetValueOrDefault(status) > 20, $"{status} came {statuses.GetValueOrDefault(status)} times");
        // All of OpenAI's worked, but what takes an adapter, which no finetune gets here, and parts whose sizes add up.
        Assert.Equal(["POST /v1/uploads/{upload_id}/complete", "DELETE /v1/models/{model}"], operations.Except(worked).Select(o => o.ToString()).Where(o => o.Contains("/v1/", StringComparison.Ordinal)));
        Assert.Equal(strangersJob.GetRawText(), (await strangersOpenAI.GetAsync($"/fine_tuning/jobs/{strangersJob.GetProperty("id").GetString()}")).Must().GetRawText());
        Assert.Equal(Secret, (await stranger.GetAsync($"/ai/finetunes/{strangersId}")).MustSucceed().Result.GetProperty("name").GetString());
    }
}

/// <summary>Makes a request for an operation: its parameters and its body by their schemas, each broken now and then.</summary>
/// <param name="ended">A job whose stream of events has an end.</param>
internal sealed class RequestGenerator(PublishedApi api, Random random, TestAccount account, string[] finetunes, string ended)
{
    /// <summary>Of the account, by their first letters; what came last is kept.</summary>
    private readonly Dictionary<string, List<string>> ids = new() { ["file"] = [], ["upload"] = [], ["part"] = [], ["ftjob"] = [ended], ["paused"] = [ended] };

    private readonly Random halves = new(5);

    /// <summary>How many of a body's optional fields are there, of 12.</summary>
    private int density;

    /// <summary>Ids of another account.</summary>
    public required string[] Strangers { get; init; }

    /// <summary>Of the last request, for messages.</summary>
    public string Body { get; private set; } = "";

    /// <summary>Takes note of what a call made.</summary>
    public void Learn(string answer)
    {
        var made = JsonElement.Parse(answer);
        string text = made.GetProperty("id").GetString()!;
        if (made.TryGetProperty("status", out var status) && status.ValueEquals("paused"))
            ids["paused"] = [text];
        if (ids.TryGetValue(text.Split('-', '_')[0], out var known) && !known.Contains(text))
            known.Add(text);
    }

    private string Id(string kind) => ids[kind] is { Count: > 0 } known && random.Next(8) > 0 ? known[^(1 + random.Next(Math.Min(known.Count, 4)))] : Pick([.. Strangers, "none", "%01", $"{kind}-1"]);

    public HttpRequestMessage Make(Operation operation)
    {
        density = random.Next(3) switch { 0 => 0, 1 => 1, _ => 4 };
        string path = operation.IsOpenAI && random.Next(2) == 0 ? $"/client/v4/accounts/{PathValue("account_id")}/ai{operation.Path}" : operation.Path;
        var query = new List<string>();
        foreach (var parameter in operation.Parameters)
        {
            string name = parameter["name"]!.GetValue<string>();
            if (parameter["in"]!.GetValue<string>() == "path")
                path = path.Replace($"{{{name}}}", operation.Path.EndsWith("/resume", StringComparison.Ordinal) && name == "job_id" ? Id("paused") : PathValue(name), StringComparison.Ordinal);
            else if (random.Next(2) == 0)
                query.Add($"{name}={Uri.EscapeDataString(QueryValue(parameter))}");
        }
        // Of other jobs the stream waits for what is still to come.
        if (query.Contains("stream=true"))
            path = path.Replace(path.Split('/')[^2], ended, StringComparison.Ordinal);
        var uri = new Uri($"{account.Server.Url.GetLeftPart(UriPartial.Authority)}{path}{(query.Count > 0 ? "?" + string.Join('&', query) : "")}", new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });
        var request = new HttpRequestMessage(new HttpMethod(operation.Method.ToUpperInvariant()), uri) { Content = Content(operation) };
        request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", random.Next(40) switch { 0 => account.ReadToken, 1 => "hone_none", 2 => "two words", _ => account.Token });
        return request;
    }

    private string PathValue(string name) => name switch
    {
        "account_id" => random.Next(60) switch { 0 => new string('0', 32), 1 => "x", _ => account.Id },
        "finetune_id" => finetunes[random.Next(finetunes.Length)],
        "file_name" => Pick("training_data.jsonl", "adapter_config.json", "adapter.gguf", "nothing", "..%2F..%2Fhone.db"),
        "file_id" => Id("file"),
        "upload_id" => Id("upload"),
        "job_id" => Id("ftjob"),
        "model" => Pick(Strangers[2], RunningServer.Model, RunningServer.Model, RunningServer.Model, Uri.EscapeDataString(RunningServer.Model), "@cf/none/none", "x"),
        _ => throw new ArgumentException($"The test makes no values for the path's {name} yet."),
    };

    private string QueryValue(JsonObject parameter) => random.Next(3) == 0 && parameter["example"] is { } example ? example.ToString() : Pick("", "1", "2", "20", "0", "-1", "1e9", "99999999999999999999", "name", "created_at", "true", "x y", "ü", "'; DROP TABLE finetunes", "openrouter");

    private HttpContent? Content(Operation operation)
    {
        Body = "";
        var content = operation.Value["requestBody"]?["content"]?.AsObject();
        if (content is null)
            return null;
        if (content.TryGetPropertyValue("multipart/form-data", out var form))
        {
            var fields = form!["schema"]!["properties"]!.AsObject();
            string part = fields["data"] is null ? "file" : "data";
            (string name, string file) = fields["file_name"] is { } names ? ("file_name", Pick([.. names["enum"]!.AsArray().Select(n => n!.GetValue<string>()), "other.bin"])) : ("purpose", Pick("fine-tune", "fine-tune", "assistants", ""));
            Body = file;
            string bytes = Pick(OpenAIClient.Rows(), OpenAIClient.Rows(), OpenAIClient.Rows(), "", "{}", "{", """{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}""", "\u0000\u0001", """{"rank":4}""");
            return random.Next(10) == 0
                ? new StringContent(bytes, Encoding.UTF8, "multipart/form-data")
                : TestAccount.Form((name, null, Encoding.UTF8.GetBytes(file)), (part, "f", Encoding.UTF8.GetBytes(bytes)));
        }
        var schema = content["application/json"]!["schema"]!.AsObject();
        string json = random.Next(25) == 0 ? Pick("", "{", "[]", "null", "\u00ff", "{\"a\":" + new string('[', 70)) : Value(schema, "", 0)?.ToJsonString() ?? "null";
        // No writer makes half of a surrogate pair.
        if (halves.Next(25) == 0)
            json = json.Replace("\"text\"", "\"\\udc00\"", StringComparison.Ordinal);
        // Half of a surrogate pair, which no writer makes.
        if (random.Next(25) == 0)
            json = json.Replace("\"text\"", "\"\\udc00\"", StringComparison.Ordinal);
        Body = json.Length > 500 ? json[..500] : json;
        return new StringContent(json, Encoding.UTF8, Pick("application/json", "text/plain", "application/x-www-form-urlencoded"));
    }

    private JsonNode? Value(JsonObject given, string name, int depth)
    {
        var schema = api.Resolve(given);
        if (random.Next(30) == 0)
            return Junk();
        if (schema["const"] is { } constant)
            return constant.DeepClone();
        if (schema["enum"] is JsonArray choices)
            return choices[random.Next(choices.Count)]?.DeepClone();
        string[] types = schema["type"] switch { JsonArray several => [.. several.Select(t => t!.GetValue<string>())], JsonValue one => [one.GetValue<string>()], _ => ["string"] };
        double minimum = Number(schema, "minimum") ?? Number(schema, "exclusiveMinimum") ?? 0, maximum = Number(schema, "maximum") ?? 100;
        // Null counts as absent, so it shows little.
        if (types.Length > 1 && random.Next(8) > 0)
            types = [.. types.Where(type => type != "null")];
        switch (types[random.Next(types.Length)])
        {
            case "object":
                var made = new JsonObject();
                foreach (var (field, value) in schema["properties"]?.AsObject() ?? [])
                {
                    // Prompt and messages exclude each other: rather the one than both.
                    bool other = field == "messages" && made.ContainsKey("prompt");
                    bool needed = field is "prompt" or "model" or "input" or "name" or "role" or "content" or "training_file" or "filename" or "purpose" or "bytes" or "part_ids"
                        || schema["allOf"]?.AsArray().Any(rule => rule!["required"]?.AsArray().Any(r => r!.GetValue<string>() == field) == true) == true;
                    if ((needed ? random.Next(10) > (other ? 8 : 0) : random.Next(12) < density) && !(other && random.Next(4) > 0))
                        made[field] = Value(value!.AsObject(), field, depth + 1);
                }
                return made;
            case "array":
                var list = new JsonArray();
                for (int i = random.Next(depth > 4 ? 1 : 3); i > 0; i--)
                    list.Add(schema["items"] is JsonObject items ? Value(items, name, depth + 1) : Junk());
                return list;
            case "integer":
                return random.Next(4) switch { 0 => minimum, 1 => maximum, 2 => random.Next(4) == 0 ? minimum - 1 : minimum, _ => Math.Floor(minimum + random.NextDouble() * (maximum - minimum)) };
            case "number":
                return random.Next(4) switch { 0 => minimum, 1 => maximum, 2 => maximum + 0.5, _ => minimum + random.NextDouble() * (maximum - minimum) };
            case "boolean":
                return random.Next(2) == 0;
            case "null":
                return null;
            default:
                return name switch
                {
                    // The engine's stand-in says back what follows the first word.
                    "prompt" => Pick("say hello", "say", "", "say " + new string('x', 200_000)),
                    "file_id" => Id("file"),
                    "upload_id" => Id("upload"),
                    "job_id" => Id("ftjob"),
                    "model" => Pick(Strangers[2], RunningServer.Model, RunningServer.Model, RunningServer.Model, "@cf/none/none", ""),
                    "training_file" or "validation_file" => Id("file"),
                    "part_ids" => Id("part"),
                    "purpose" => Pick("fine-tune", "fine-tune", "batch"),
                    "lora" => finetunes[random.Next(finetunes.Length)],
                    "name" => Pick($"made {random.Next(100_000)}", "one", "", "cf-public-x", "\u0007", new string('n', 129), "ü🜁", $"made {random.Next(100_000)}"),
                    _ => Pick("text", "", "true", "ü", "\ud83d\ude00", new string('y', 5000)),
                };
        }
    }

    private static double? Number(JsonObject schema, string keyword) => schema[keyword] is JsonValue value && double.TryParse(value.ToString(), System.Globalization.CultureInfo.InvariantCulture, out double number) ? number : null;

    private JsonNode? Junk() => random.Next(6) switch { 0 => null, 1 => "say junk", 2 => -1.5, 3 => new JsonArray("a", 1), 4 => new JsonObject { ["a"] = new JsonObject() }, _ => true };

    private string Pick(params string[] values) => values[random.Next(values.Length)];
}
