using System.Text;
using System.Text.Json;
using Hone.Core;
using Hone.Core.Models;

namespace Hone.Server.Tests.OpenAI;

/// <summary>Jobs without a worker: queued ones stay queued.</summary>
public sealed class JobTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Create_SoundFiles_IsQueuedWithAllFieldsAndEventsInOrder(bool shortAddress)
    {
        var client = await OpenAIClient.NewAsync(server, shortAddress);
        string training = await client.UploadedAsync(OpenAIClient.Rows()), validation = await client.UploadedAsync(OpenAIClient.Rows(40).Split('\n', 21)[20]);
        var job = (await client.PostAsync("/fine_tuning/jobs", $$$$$"""
            {"model":"{{{{{RunningServer.Model}}}}}","training_file":"{{{{{training}}}}}","validation_file":"{{{{{validation}}}}}","suffix":"triage","seed":7,"metadata":{"team":"support"},"integrations":[],
            "method":{"type":"supervised","supervised":{"hyperparameters":{"n_epochs":2,"batch_size":"auto","learning_rate_multiplier":0.5}}}}
            """)).Must();
        string id = job.GetProperty("id").GetString()!;
        Assert.Matches("^ftjob-[0-9a-f]{32}$", id);
        Assert.Equal("validating_files", job.GetProperty("status").GetString());

        job = await client.ReachAsync(id, "queued");

        Assert.Equal(
            ["id", "model", "created_at", "finished_at", "fine_tuned_model", "organization_id", "result_files", "status", "validation_file", "training_file", "hyperparameters", "trained_tokens", "error",
             "user_provided_suffix", "seed", "estimated_finish", "method", "metadata", "object", "integrations"], job.EnumerateObject().Select(p => p.Name));
        Assert.Equal((training, validation, 7, "triage"), (job.GetProperty("training_file").GetString(), job.GetProperty("validation_file").GetString(), job.GetProperty("seed").GetInt32(), job.GetProperty("user_provided_suffix").GetString()));
        Assert.Equal("""{"type":"supervised","supervised":{"hyperparameters":{"n_epochs":2,"batch_size":"auto","learning_rate_multiplier":0.5}}}""", job.GetProperty("method").GetRawText());
        Assert.Equal("""{"team":"support"}""", job.GetProperty("metadata").GetRawText());
        var events = (await client.GetAsync($"/fine_tuning/jobs/{id}/events")).Must();
        Assert.Equal(["Files validated, moving job to queued state", $"Validating training file: {training} and validation file: {validation}", $"Created fine-tuning job: {id}"],
            events.GetProperty("data").EnumerateArray().Where(e => e.GetProperty("level").ValueEquals("info")).Select(e => e.GetProperty("message").GetString()));
        var page = (await client.GetAsync($"/fine_tuning/jobs/{id}/events?limit=1&after={events.Ids()[^2]}")).Must();
        Assert.Equal([events.Ids()[^1]], page.Ids());
        Assert.False(page.GetProperty("has_more").GetBoolean());
        Assert.True((await client.GetAsync($"/fine_tuning/jobs/{id}/events?limit=1")).Must().GetProperty("has_more").GetBoolean());
        Assert.Empty((await client.GetAsync($"/fine_tuning/jobs/{id}/checkpoints")).Must().Ids());
    }

    [Fact]
    public async Task Create_BrokenRow_FailsAndNamesItsLine()
    {
        var client = await OpenAIClient.NewAsync(server);
        string[] lines = OpenAIClient.Rows().Split('\n');
        lines[4] = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}";
        string file = await client.UploadedAsync(string.Join('\n', lines));
        string id = (await client.PostAsync("/fine_tuning/jobs", $$"""{"model":"{{RunningServer.Model}}","training_file":"{{file}}"}""")).Must().GetProperty("id").GetString()!;

        var job = await client.ReachAsync(id, "failed");

        var error = job.GetProperty("error");
        Assert.Equal(("invalid_training_file", "training_file"), (error.GetProperty("code").GetString(), error.GetProperty("param").GetString()));
        Assert.Contains("line 5", error.GetProperty("message").GetString(), StringComparison.OrdinalIgnoreCase);
        Assert.NotEqual(JsonValueKind.Null, job.GetProperty("finished_at").ValueKind);
        var last = (await client.GetAsync($"/fine_tuning/jobs/{id}/events?limit=1")).Must().GetProperty("data")[0];
        Assert.Equal(("error", error.GetProperty("message").GetString()), (last.GetProperty("level").GetString(), last.GetProperty("message").GetString()));
    }

    /// <summary>It is checked alone, and against the training file: what is wrong with it is said once, and of it.</summary>
    [Theory]
    [InlineData("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", "line 1")]
    [InlineData(null, "same row as line 2 of the training file")]
    public async Task Bug_FaultsOfTheValidationFile_WereTheTrainingFiles(string? row, string part)
    {
        var client = await OpenAIClient.NewAsync(server);
        string rows = OpenAIClient.Rows();
        string training = await client.UploadedAsync(rows), validation = await client.UploadedAsync(row ?? rows.Split('\n')[1]);
        string id = (await client.PostAsync("/fine_tuning/jobs", $$"""{"model":"{{RunningServer.Model}}","training_file":"{{training}}","validation_file":"{{validation}}"}""")).Must().GetProperty("id").GetString()!;

        var error = (await client.ReachAsync(id, "failed")).GetProperty("error");

        Assert.Equal(("invalid_validation_file", "validation_file"), (error.GetProperty("code").GetString(), error.GetProperty("param").GetString()));
        string message = error.GetProperty("message").GetString()!;
        Assert.StartsWith("validation file, ", message, StringComparison.Ordinal);
        Assert.Contains(part, message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', message);
    }

    /// <summary>The file's place is for the log alone.</summary>
    [Fact]
    public async Task Bug_ModelWhoseFileIsGone_WasTheUploadsFault()
    {
        string copy = Path.Combine(server.Folder, "gone.gguf");
        File.Copy(Repository.Path("models/SmolLM2-135M-Instruct.Q4_1.gguf"), copy);
        string model = Assert.IsType<AddModelResult.Added>(await server.Service<ModelCatalog>().AddAsync(copy, null, TestContext.Current.CancellationToken)).Model.Id;
        var client = await OpenAIClient.NewAsync(server);
        string finetune = (await client.Account.PostAsync("/ai/finetunes", $$"""{"model":"{{model}}","name":"f"}""")).MustSucceed().Result.GetProperty("id").GetString()!;
        string file = await client.UploadedAsync(OpenAIClient.Rows());
        File.Delete(copy);

        var refused = await client.Account.UploadAsync(finetune, "training_data.jsonl", Encoding.UTF8.GetBytes(OpenAIClient.Rows()));
        string id = (await client.PostAsync("/fine_tuning/jobs", $$"""{"model":"{{model}}","training_file":"{{file}}"}""")).Must().GetProperty("id").GetString()!;
        var error = (await client.ReachAsync(id, "failed")).GetProperty("error");

        refused.MustFail(500, 3043, "cannot be read");
        (await client.Account.PostAsync($"/ai/run/{model}", """{"prompt":"say a"}""")).MustFail(500, 3043, "cannot be read");
        Assert.Equal("bad_model", error.GetProperty("code").GetString());
        foreach (string said in new[] { refused.Body.GetRawText(), error.GetProperty("message").GetString()! })
            Assert.DoesNotContain("gone.gguf", said, StringComparison.Ordinal);
        Assert.Contains(server.Log, line => line.Contains("gone.gguf", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("""{"training_file":"FILE"}""", 400, "model", "'model' is a required property")]
    [InlineData("""{"model":"MODEL"}""", 400, "training_file", "'training_file' is a required property")]
    [InlineData("""{"model":"gpt-none","training_file":"FILE"}""", 404, "model", "gpt-none")]
    [InlineData("""{"model":"ft:MODEL:a:b:00000000-0000-0000-0000-000000000000","training_file":"FILE"}""", 404, "model", "There is no fine-tuned model")]
    [InlineData("""{"model":"MODEL","training_file":"file-none"}""", 400, "training_file", "file-none")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","validation_file":"file-none"}""", 400, "validation_file", "file-none")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","suffix":""}""", 400, "suffix", "1 to 64")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","suffix":"cf-public-x"}""", 400, "suffix", "reserved")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","seed":-1}""", 400, "seed", "between 0 and")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","metadata":{"a":1}}""", 400, "metadata", "'metadata.a' must be a string")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","integrations":[{"type":"wandb"}]}""", 400, "integrations", "not offered")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","method":{"type":"reinforcement"}}""", 400, "method", "supervised or dpo")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","method":{"type":"dpo","supervised":{}}}""", 400, "method", "'method.supervised' is not part of the method dpo")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","method":{"type":"supervised","supervised":{"hyperparameters":{"beta":0.1}}}}""", 400, "method", "'method.supervised.hyperparameters.beta' is unknown")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","method":{"type":"dpo","dpo":{"hyperparameters":{"beta":2.1}}}}""", 400, "method", "'method.dpo.hyperparameters.beta' is 2.1")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","hyperparameters":{"n_epochs":51}}""", 400, "hyperparameters", "'hyperparameters.n_epochs' is 51")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","hyperparameters":{"batch_size":0}}""", 400, "hyperparameters", "'hyperparameters.batch_size' is 0")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","hyperparameters":{"learning_rate_multiplier":0}}""", 400, "hyperparameters", "above 0")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","hyperparameters":{"n_epochs":"many"}}""", 400, "hyperparameters", "a string (\"many\")")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","hyperparameters":{},"method":{"type":"dpo"}}""", 400, "hyperparameters", "exclude each other")]
    [InlineData("""{"model":"MODEL","training_file":"FILE","n_epochs":3}""", 400, "n_epochs", "Unrecognized request argument supplied: n_epochs")]
    [InlineData("""{"model":""", 400, null, "could not parse the JSON body")]
    public async Task Create_Unsound_NamesTheField(string body, int status, string? param, string part)
    {
        var client = await OpenAIClient.NewAsync(server);
        string file = await client.UploadedAsync(OpenAIClient.Rows());
        (await client.PostAsync("/fine_tuning/jobs", body.Replace("MODEL", RunningServer.Model, StringComparison.Ordinal).Replace("FILE", file, StringComparison.Ordinal))).MustRefuse(status, param, part);
        Assert.Empty((await client.GetAsync("/fine_tuning/jobs")).Must().Ids());
    }

    [Fact]
    public async Task List_NewestFirstPagedAndByMetadata()
    {
        var client = await OpenAIClient.NewAsync(server);
        var ids = new List<string>();
        foreach (string metadata in (string[])["", ""","metadata":{"k":"a","o":"x"}""", ""","metadata":{"k":"b"}"""])
            ids.Insert(0, (await client.QueuedJobAsync(metadata)).GetProperty("id").GetString()!);

        Assert.Equal(ids, (await client.GetAsync("/fine_tuning/jobs")).Must().Ids());
        var page = (await client.GetAsync("/fine_tuning/jobs?limit=2")).Must();
        Assert.Equal((true, 2), (page.GetProperty("has_more").GetBoolean(), page.Ids().Length));
        Assert.Equal([ids[2]], (await client.GetAsync($"/fine_tuning/jobs?after={ids[1]}")).Must().Ids());
        Assert.Equal([ids[1]], (await client.GetAsync("/fine_tuning/jobs?metadata[k]=a")).Must().Ids());
        Assert.Equal([ids[0]], (await client.GetAsync("/fine_tuning/jobs?metadata%5Bk%5D=b")).Must().Ids());
        Assert.Empty((await client.GetAsync("/fine_tuning/jobs?metadata[k]=a&metadata[o]=y")).Must().Ids());
        // The official client writes null as nothing.
        foreach (string none in (string[])["metadata=null", "metadata="])
            Assert.Equal([ids[2]], (await client.GetAsync($"/fine_tuning/jobs?{none}")).Must().Ids());
        Assert.Empty((await (await OpenAIClient.NewAsync(server)).GetAsync("/fine_tuning/jobs")).Must().Ids());
    }

    [Fact]
    public async Task PauseResumeCancel_OfAQueuedJob_MoveItAndRefuseWhatItsStateForbids()
    {
        var client = await OpenAIClient.NewAsync(server);
        string id = (await client.QueuedJobAsync()).GetProperty("id").GetString()!;
        (await client.PostAsync($"/fine_tuning/jobs/{id}/resume")).MustRefuse(400, null, "only a paused one", "invalid_job_state");
        Assert.Equal("paused", (await client.PostAsync($"/fine_tuning/jobs/{id}/pause")).Must().GetProperty("status").GetString());
        Assert.Equal("paused", (await client.PostAsync($"/fine_tuning/jobs/{id}/pause")).Must().GetProperty("status").GetString());
        Assert.Equal("queued", (await client.PostAsync($"/fine_tuning/jobs/{id}/resume")).Must().GetProperty("status").GetString());
        Assert.Equal("cancelled", (await client.PostAsync($"/fine_tuning/jobs/{id}/cancel")).Must().GetProperty("status").GetString());
        foreach (string verb in (string[])["cancel", "pause", "resume"])
            (await client.PostAsync($"/fine_tuning/jobs/{id}/{verb}")).MustRefuse(400, null, "cancelled", "invalid_job_state");
        (await client.PostAsync($"/fine_tuning/jobs/{id}/cancel")).MustRefuse(400, null, "The job was cancelled already; there is nothing to cancel.", "invalid_job_state");
        foreach (string path in (string[])["", "/events", "/checkpoints"])
            (await client.GetAsync($"/fine_tuning/jobs/ftjob-none{path}")).MustRefuse(404, "fine_tune_id", "ftjob-none", "fine_tune_not_found");
    }

    [Fact]
    public async Task Bug_CancelledWhileItsFilesAreChecked_TheNextJobDoesNotWaitForThem()
    {
        var client = await OpenAIClient.NewAsync(server);
        string id = await SlowlyCheckedAsync(client);
        Assert.Equal("cancelled", (await client.PostAsync($"/fine_tuning/jobs/{id}/cancel")).Must().GetProperty("status").GetString());

        await client.QueuedJobAsync();

        Assert.Equal("cancelled", (await client.GetAsync($"/fine_tuning/jobs/{id}")).Must().GetProperty("status").GetString());
    }

    [Fact]
    public async Task Bug_FilesCheckedForMinutes_JobsOfOtherAccountsDoNotWaitForThem()
    {
        var client = await OpenAIClient.NewAsync(server);
        string id = await SlowlyCheckedAsync(client);

        await (await OpenAIClient.NewAsync(server)).QueuedJobAsync();

        Assert.Equal("validating_files", (await client.GetAsync($"/fine_tuning/jobs/{id}")).Must().GetProperty("status").GetString());
        (await client.PostAsync($"/fine_tuning/jobs/{id}/cancel")).Must();
    }

    /// <summary>A job whose files are being checked: finding the answers of so long a conversation takes seconds a row.</summary>
    private static async Task<string> SlowlyCheckedAsync(OpenAIClient client)
    {
        string row = $$"""{"messages":[{{string.Join(',', Enumerable.Range(0, 1_000).Select(i => $$"""{"role":"user","content":"q{{i}}"},{"role":"assistant","content":"a{{i}}"}"""))}}]}""";
        string file = await client.UploadedAsync(string.Join('\n', Enumerable.Repeat(row, 100)));
        string id = (await client.PostAsync("/fine_tuning/jobs", $$"""{"model":"{{RunningServer.Model}}","training_file":"{{file}}"}""")).Must().GetProperty("id").GetString()!;
        await Task.Delay(TimeSpan.FromSeconds(1));
        return id;
    }

    [Fact]
    public async Task Finetune_MadeByUpload_IsAJobWithReadableFilesAndTheReverse()
    {
        var client = await OpenAIClient.NewAsync(server);
        var account = client.Account;
        string finetune = await account.CreatedAsync("by-upload");
        string id = $"ftjob-{finetune.Replace("-", "", StringComparison.Ordinal)}";
        Assert.Equal("validating_files", (await client.GetAsync($"/fine_tuning/jobs/{id}")).Must().GetProperty("status").GetString());
        byte[] rows = Encoding.UTF8.GetBytes(OpenAIClient.Rows());
        (await account.UploadAsync(finetune, "training_config.json", """{"n_epochs":3}"""u8.ToArray())).MustSucceed();
        (await account.UploadAsync(finetune, "training_data.jsonl", rows)).MustSucceed();

        var job = (await client.GetAsync($"/fine_tuning/jobs/{id}")).Must();
        Assert.Equal(("queued", "by-upload", 3), (job.GetProperty("status").GetString(), job.GetProperty("user_provided_suffix").GetString(), job.GetProperty("hyperparameters").GetProperty("n_epochs").GetInt32()));
        string file = job.GetProperty("training_file").GetString()!;
        Assert.Equal(rows, (await client.BytesAsync($"/files/{file}/content")).Bytes);
        Assert.Equal([file], (await client.GetAsync("/files")).Must().Ids());

        var made = await client.QueuedJobAsync(""","suffix":"by-job" """);
        string other = JsonSerializer.Deserialize<JsonElement>(made.GetRawText()).GetProperty("id").GetString()!["ftjob-".Length..];
        var seen = (await account.GetAsync($"/ai/finetunes/{Guid.Parse(other)}")).MustSucceed().Result;
        Assert.Equal(("queued", $"by-job-{other}"), (seen.GetProperty("status").GetString(), seen.GetProperty("name").GetString()));
        var assets = (await account.GetAsync($"/ai/finetunes/{Guid.Parse(other)}/finetune-assets")).MustSucceed().Result;
        Assert.Equal("training_data.jsonl", assets[0].GetProperty("file_name").GetString());
        Assert.Equal("paused", (await account.PostAsync($"/ai/finetunes/{Guid.Parse(other)}/pause", "")).MustSucceed().Result.GetProperty("status").GetString());
        Assert.Equal("paused", (await client.GetAsync($"/fine_tuning/jobs/ftjob-{other}")).Must().GetProperty("status").GetString());
        Assert.Equal("queued", (await account.PostAsync($"/ai/finetunes/{Guid.Parse(other)}/resume", "")).MustSucceed().Result.GetProperty("status").GetString());
        (await account.PostAsync($"/ai/finetunes/{Guid.Parse(other)}/resume", "")).MustFail(400, 1008, "only a paused one");

        // The file goes with the finetune that it came with; a job's stays.
        await account.SendAsync(HttpMethod.Delete, $"/ai/finetunes/{finetune}");
        (await client.GetAsync($"/files/{file}")).MustRefuse(404, "id", file);
        await account.SendAsync(HttpMethod.Delete, $"/ai/finetunes/{Guid.Parse(other)}");
        (await client.GetAsync($"/files/{made.GetProperty("training_file").GetString()}")).Must();
    }

    [Fact]
    public async Task Events_Streamed_EndWithTheJob()
    {
        var client = await OpenAIClient.NewAsync(server);
        string id = (await client.QueuedJobAsync()).GetProperty("id").GetString()!;
        using var reader = await EventReader.OpenAsync(server, client.Account.Request(HttpMethod.Get, $"{client.Base}/fine_tuning/jobs/{id}/events?stream=true"));
        var first = (await reader.NextAsync())!.Data;
        Assert.Equal(("fine_tuning.job.event", $"Created fine-tuning job: {id}", "message"), (first.GetProperty("object").GetString(), first.GetProperty("message").GetString(), first.GetProperty("type").GetString()));
        await client.PostAsync($"/fine_tuning/jobs/{id}/cancel");
        var rest = new List<ServerEvent>();
        while (await reader.NextAsync() is { } next)
            rest.Add(next);
        Assert.Equal("[DONE]", rest[^1].Text);
        Assert.Equal("The job was cancelled", rest[^2].Data.GetProperty("message").GetString());
    }

    [Fact]
    public async Task Create_MoreFinetunesThanAllowed_IsQuotaAndNotRepeated()
    {
        await using var small = new RunningServer();
        await small.StartAsync(new HoneLimits { FinetunesPerAccount = 1 });
        var client = await OpenAIClient.NewAsync(small);
        await client.QueuedJobAsync();
        string file = await client.UploadedAsync(OpenAIClient.Rows());
        var refused = await client.PostAsync("/fine_tuning/jobs", $$"""{"model":"{{ModelCatalog.EmbeddedId}}","training_file":"{{file}}"}""");
        refused.MustRefuse(429, null, "1 finetunes", "insufficient_quota");
        Assert.Equal("false", Assert.Single(refused.Headers.GetValues("x-should-retry")));
    }

    [Fact]
    public async Task Validation_ServerEndsMeanwhile_IsTakenUpByTheNext()
    {
        await using var again = new RunningServer();
        await again.InitializeAsync();
        var client = await OpenAIClient.NewAsync(again);
        string file = await client.UploadedAsync(OpenAIClient.Rows(2000));
        string id = (await client.PostAsync("/fine_tuning/jobs", $$"""{"model":"{{RunningServer.Model}}","training_file":"{{file}}"}""")).Must().GetProperty("id").GetString()!;
        await again.StopAsync();
        await again.StartAsync(new HoneLimits());
        await client.ReachAsync(id, "queued");
    }
}
