using System.Text.Json;

namespace Hone.Server.Tests.Cloudflare;

/// <summary>Files that no job may start on: the upload answers what the lint says, and nothing is stored or queued.</summary>
public sealed class BadTrainingDataTests(RunningServer server) : IClassFixture<RunningServer>
{
    private static readonly string Folder = Repository.Path("tests/Hone.Formats.Tests/data/bad");

    [Fact]
    public async Task Upload_EachBadFile_AnswersTheLinesAndQueuesNothing()
    {
        var account = await server.NewAccountAsync();
        int refused = 0;
        foreach (var expected in JsonElement.Parse(await File.ReadAllTextAsync(Path.Combine(Folder, "expected.json"))).EnumerateObject())
        {
            string file = Path.Combine(Folder, expected.Name);
            if (!File.Exists(file) || expected.Name.StartsWith("same_row", StringComparison.Ordinal))
                continue;
            string name = expected.Name.Replace('.', '-');
            await account.CreatedAsync(name);
            var reply = await account.UploadAsync(name, "training_data.jsonl", await File.ReadAllBytesAsync(file));
            string state = (await account.GetAsync($"/ai/finetunes/{name}")).Result.GetProperty("status").GetString()!;
            if (expected.Value.GetProperty("ok").GetBoolean())
            {
                reply.MustSucceed();
                Assert.Equal("queued", state);
                Assert.True(reply.Result.GetProperty("lint").GetProperty("ok").GetBoolean());
                continue;
            }
            refused++;
            Assert.True((int)reply.Status == 400, $"{expected.Name}: {reply.Body}");
            Assert.False(reply.Success);
            Assert.All(reply.Errors, e => Assert.StartsWith("1007: ", e, StringComparison.Ordinal));
            Assert.Equal("awaiting_assets", state);
            Assert.Equal(0, (await account.GetAsync($"/ai/finetunes/{name}/finetune-assets")).Result.GetArrayLength());
            var lint = reply.Result.GetProperty("lint");
            Assert.False(lint.GetProperty("ok").GetBoolean());
            Assert.Equal(lint.GetProperty("errors").GetArrayLength(), reply.Errors.Count);
            foreach (var error in expected.Value.GetProperty("errors").EnumerateArray())
            {
                if (!error.TryGetProperty("line", out var line) || line.ValueKind != JsonValueKind.Number)
                    continue;
                Assert.Contains(lint.GetProperty("errors").EnumerateArray(), e => e.GetProperty("line").ValueKind == JsonValueKind.Number && e.GetProperty("line").GetInt32() == line.GetInt32());
                Assert.Contains(reply.Errors, e => e.Contains($"line {line.GetInt32()},", StringComparison.Ordinal));
            }
        }
        Assert.True(refused > 20);
    }

    [Fact]
    public async Task Upload_ValidationRowsAmongTheTrainingRows_NamesBothLines()
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("pair");
        (await account.UploadAsync("pair", "validation_data.jsonl", await File.ReadAllBytesAsync(Path.Combine(Folder, "same_row_in_train_and_valid.valid.jsonl")))).MustSucceed();
        var reply = await account.UploadAsync("pair", "training_data.jsonl", await File.ReadAllBytesAsync(Path.Combine(Folder, "same_row_in_train_and_valid.train.jsonl")));
        Assert.Equal(400, (int)reply.Status);
        Assert.Contains(reply.Errors, e => e.Contains("line 2", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("training_data.jsonl", "file_empty")]
    [InlineData("validation_data.jsonl", "file_empty")]
    [InlineData("training_config.json", null)]
    public async Task Upload_Empty_HasAReportAsOtherRefusalsDo(string fileName, string? code)
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("empty");
        var reply = await account.UploadAsync("empty", fileName, []);
        Assert.Equal(400, (int)reply.Status);
        var error = Assert.Single(reply.Result.GetProperty("lint").GetProperty("errors").EnumerateArray());
        Assert.Equal(code ?? error.GetProperty("code").GetString(), error.GetProperty("code").GetString());
        Assert.NotEqual("", error.GetProperty("hint").GetString());
        Assert.StartsWith("1007: ", Assert.Single(reply.Errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Upload_AfterARefusal_TheRightFileIsTaken()
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("second-try");
        Assert.Equal(400, (int)(await account.UploadAsync("second-try", "training_config.json", """{"n_epochs":"many","rank":-1}"""u8.ToArray())).Status);
        (await account.UploadAsync("second-try", "training_config.json", """{"n_epochs":1}"""u8.ToArray())).MustSucceed();
        Assert.Equal(400, (int)(await account.UploadAsync("second-try", "training_data.jsonl", "{}\n"u8.ToArray())).Status);
        (await account.UploadAsync("second-try", "training_data.jsonl", await File.ReadAllBytesAsync(Repository.Path("examples/support-triage/train.jsonl")))).MustSucceed();
    }
}
