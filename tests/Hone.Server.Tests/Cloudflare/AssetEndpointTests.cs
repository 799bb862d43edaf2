using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Hone.Server.Tests.Cloudflare;

public sealed class AssetEndpointTests(RunningServer server) : IClassFixture<RunningServer>
{
    private static readonly byte[] Config = """{"n_epochs":1}"""u8.ToArray();
    private static readonly byte[] Name = "training_config.json"u8.ToArray();

    [Fact]
    public async Task Upload_Stored_AnswersResultAndListsAndDownloads()
    {
        var account = await server.NewAccountAsync();
        string id = await account.CreatedAsync("up");
        var result = (await account.UploadAsync("up", "training_config.json", Config)).MustSucceed().Result;
        Assert.Equal(id, result.GetProperty("finetune_id").GetString());
        Assert.Equal("training_config.json", result.GetProperty("file_name").GetString());
        foreach (string field in (string[])["id", "bucket_name", "created_at", "modified_at"])
            Assert.NotEqual("", result.GetProperty(field).GetString());

        var item = Assert.Single((await account.GetAsync($"/ai/finetunes/{id}/finetune-assets/")).MustSucceed().Result.EnumerateArray());
        Assert.Equal("training_config.json", item.GetProperty("file_name").GetString());
        Assert.Equal(Config.Length, item.GetProperty("size").GetInt64());
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Config)), item.GetProperty("sha256").GetString());
        Assert.True(item.TryGetProperty("created_at", out _));

        using var download = await server.Http.SendAsync(account.Request(HttpMethod.Get, "/ai/finetunes/up/finetune-assets/training_config.json"));
        Assert.Equal(Config, await download.Content.ReadAsByteArrayAsync());
        Assert.Equal("application/json", download.Content.Headers.ContentType!.MediaType);
        (await account.GetAsync("/ai/finetunes/up/finetune-assets/adapter_config.json")).MustFail(404, 3037, "adapter_config.json");
        (await account.GetAsync("/ai/finetunes/up/finetune-assets/..%2F..%2Fhone.db")).MustFail(404, 3037, "has no file");
    }

    [Fact]
    public async Task Upload_WeightsWithAHugeHeader_AreRefused()
    {
        var account = await server.NewAccountAsync();
        byte[] header = Encoding.ASCII.GetBytes("{}".PadRight((16 << 20) + 1));
        (await account.UploadAsync(await account.CreatedAsync("huge header"), "adapter_model.safetensors", [.. BitConverter.GetBytes((long)header.Length), .. header])).MustFail(400, 1006, "16777216");
    }

    [Fact]
    public async Task Upload_SameAgain_IsAcceptedAndOtherBytesAreNot()
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("again");
        (await account.UploadAsync("again", "training_config.json", Config)).MustSucceed();
        (await account.UploadAsync("again", "training_config.json", Config)).MustSucceed();
        (await account.UploadAsync("again", "training_config.json", """{"n_epochs":2}"""u8.ToArray())).MustFail(400, 1005, "other bytes");
        using var download = await server.Http.SendAsync(account.Request(HttpMethod.Get, "/ai/finetunes/again/finetune-assets/training_config.json"));
        Assert.Equal(Config, await download.Content.ReadAsByteArrayAsync());
    }

    /// <summary>Orders and names of parts that real clients send.</summary>
    public static TheoryData<string> Shapes => ["name first", "file first", "blob", "quoted wrangler", "extra parts", "no file name"];

    [Theory]
    [MemberData(nameof(Shapes))]
    public async Task Upload_FormOfAnyShape_IsStored(string shape)
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("shape");
        using HttpContent form = shape switch
        {
            "name first" => TestAccount.Form(("file_name", null, Name), ("file", "training_config.json", Config)),
            "file first" => TestAccount.Form(("file", "x", Config), ("file_name", null, Name)),
            "blob" => TestAccount.Form(("file_name", null, Name), ("file", "blob", Config)),
            "quoted wrangler" => TestAccount.Form(("file_name", null, Name), ("blob", "blob", Config)),
            "extra parts" => TestAccount.Form(("a", null, "1"u8.ToArray()), ("file_name", null, Name), ("b", null, "2"u8.ToArray()), ("file", "f", Config), ("c", null, "3"u8.ToArray())),
            _ => TestAccount.Form(("file_name", null, Name), ("file", null, Config)),
        };
        (await account.SendAsync(HttpMethod.Post, "/ai/finetunes/shape/finetune-assets/", form)).MustSucceed();
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(Config)),
            Assert.Single((await account.GetAsync("/ai/finetunes/shape/finetune-assets")).Result.EnumerateArray()).GetProperty("sha256").GetString());
        NothingIsLeftBehind();
    }

    private static ByteArrayContent Written(string form) =>
        new(Encoding.ASCII.GetBytes(form)) { Headers = { ContentType = MediaTypeHeaderValue.Parse("multipart/form-data; boundary=----hone-test") } };

    public static TheoryData<string, string> BrokenForms => new()
    {
        { "no name", "'file_name' is missing" },
        { "no file", "'file' is missing" },
        { "empty form", "'file_name' is missing" },
        { "two files", "second file" },
        { "two files first", "more than one file" },
        { "two names", "'file_name' is there twice" },
        { "json", "multipart/form-data" },
        { "no boundary", "boundary" },
        { "name not utf-8", "not UTF-8" },
        { "long name", "longer than 4096 bytes" },
        { "many parts", "more than 16 parts" },
        { "cut in a part", "before its closing boundary" },
        { "cut in a head", "before its closing boundary" },
    };

    [Theory]
    [MemberData(nameof(BrokenForms))]
    public async Task Upload_BrokenForm_IsRefusedAndNothingStays(string shape, string part)
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("broken");
        using HttpContent form = shape switch
        {
            "no name" => TestAccount.Form(("file", "f", Config)),
            "no file" => TestAccount.Form(("file_name", null, Name)),
            "empty form" => Written("------hone-test--\r\n"),
            "two files" => TestAccount.Form(("file_name", null, Name), ("file", "f", Config), ("file", "g", Config)),
            "two files first" => TestAccount.Form(("file", "f", Config), ("file", "g", Config), ("file_name", null, Name)),
            "two names" => TestAccount.Form(("file_name", null, Name), ("file_name", null, Name), ("file", "f", Config)),
            "cut in a part" => Written("------hone-test\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nabc"),
            "cut in a head" => Written("------hone-test\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nabc\r\n------hone-test\r\nContent-Disposition: form-data; na"),
            "json" => TestAccount.Text("{}"),
            "no boundary" => TestAccount.Text("x", "multipart/form-data"),
            "name not utf-8" => TestAccount.Form(("file_name", null, [0xFF, 0xFE]), ("file", "f", Config)),
            "long name" => TestAccount.Form(("file_name", null, new byte[5000]), ("file", "f", Config)),
            _ => TestAccount.Form([.. Enumerable.Range(0, 20).Select(i => ($"p{i}", (string?)null, Config))]),
        };
        (await account.SendAsync(HttpMethod.Post, "/ai/finetunes/broken/finetune-assets", form)).MustFail(400, 1004, part);
        Assert.Equal(0, (await account.GetAsync("/ai/finetunes/broken/finetune-assets")).MustSucceed().Result.GetArrayLength());
        NothingIsLeftBehind();
    }

    [Theory]
    [InlineData("../../x")]
    [InlineData("/etc/passwd")]
    [InlineData("adapter_config.json/../x")]
    [InlineData("a\0b")]
    [InlineData("a\nb")]
    [InlineData("")]
    [InlineData("ADAPTER_CONFIG.JSON")]
    public async Task Upload_NameThatIsNoAsset_IsRefusedAndNamesTheAccepted(string fileName)
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("names");
        var reply = (await account.UploadAsync("names", fileName, Config)).MustFail(400, 1004, "training_data.jsonl");
        Assert.DoesNotContain(reply.Errors[0], char.IsControl);
        Assert.Equal(0, (await account.GetAsync("/ai/finetunes/names/finetune-assets")).Result.GetArrayLength());
    }

    [Fact]
    public async Task Upload_UnknownFinetune_Is1000()
    {
        var account = await server.NewAccountAsync();
        (await account.UploadAsync(Guid.NewGuid().ToString(), "training_config.json", Config)).MustFail(400, 1000, "not found");
    }

    [Fact]
    public async Task Upload_OverItsLimit_Is413()
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("big");
        (await account.UploadAsync("big", "training_config.json", new byte[(1 << 20) + 1])).MustFail(413, 3006, "training_config.json");
        Assert.Equal(0, (await account.GetAsync("/ai/finetunes/big/finetune-assets")).Result.GetArrayLength());
        NothingIsLeftBehind();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Upload_CutInTheMiddle_LeavesNothing(bool fileFirst)
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("cut");
        string name = "--b\r\nContent-Disposition: form-data; name=\"file_name\"\r\n\r\ntraining_config.json\r\n";
        string file = $"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{new string('x', 100_000)}";
        using (var socket = new TcpClient())
        {
            await socket.ConnectAsync(server.Url.Host, server.Url.Port);
            await socket.GetStream().WriteAsync(Encoding.ASCII.GetBytes(
                $"POST {account.Root}/ai/finetunes/cut/finetune-assets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {account.Token}\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 500000\r\nExpect: 100-continue\r\n\r\n"));
            // A reset takes along what the server has not read yet: it is on the body.
            await socket.GetStream().ReadExactlyAsync(new byte["HTTP/1.1 100 Continue\r\n\r\n".Length]);
            await socket.GetStream().WriteAsync(Encoding.ASCII.GetBytes(fileFirst ? file : name + file));
            socket.Client.LingerState = new LingerOption(true, 0);
        }
        await UntilAsync(() => server.Log.Any(l => l.Contains("/cut/finetune-assets", StringComparison.Ordinal)));
        Assert.Equal(0, (await account.GetAsync("/ai/finetunes/cut/finetune-assets")).Result.GetArrayLength());
        NothingIsLeftBehind();
    }

    [Fact]
    public async Task Upload_FormEndsWithoutItsBoundary_IsRefusedAndNothingStays()
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("short");
        string form = "--b\r\nContent-Disposition: form-data; name=\"file_name\"\r\n\r\ntraining_config.json\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{\"n_epochs\":1}";
        (await account.PostAsync("/ai/finetunes/short/finetune-assets", form, "multipart/form-data; boundary=b")).MustFail(400, 1004, "form");
        Assert.Equal(0, (await account.GetAsync("/ai/finetunes/short/finetune-assets")).Result.GetArrayLength());
        NothingIsLeftBehind();
    }

    [Fact]
    public async Task Upload_TrainingData_QueuesTheJob()
    {
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("job");
        byte[] rows = await File.ReadAllBytesAsync(Repository.Path("examples/support-triage/train.jsonl"));
        Assert.Equal("queued", (await account.UploadAsync("job", "training_data.jsonl", rows)).MustSucceed().Result.GetProperty("status").GetString());
        Assert.Equal("queued", (await account.GetAsync("/ai/finetunes/job")).Result.GetProperty("status").GetString());
        (await account.UploadAsync("job", "validation_data.jsonl", rows)).MustFail(400, 1008, "queued");
    }

    /// <summary>The log of a request is written when everything of it is over.</summary>
    internal static async Task UntilAsync(Func<bool> condition)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        using var patience = new CancellationTokenSource(RunningServer.Patience);
        while (!condition())
            await timer.WaitForNextTickAsync(patience.Token);
    }

    private void NothingIsLeftBehind()
    {
        Assert.Empty(Directory.EnumerateFiles(server.DataFolder, "*.tmp", SearchOption.AllDirectories));
        Assert.Empty(Directory.EnumerateFiles(Path.Combine(server.DataFolder, "blobs", "tmp")));
    }
}
