using System.Text;
using Hone.Core;
using Hone.Core.Tests.Blobs;

namespace Hone.Server.Tests.Cloudflare;

public sealed class FullDiskTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Upload_NoSpaceLeft_Is507AndNothingStays(bool fileFirst)
    {
        using var disk = SmallDisk.TryMount();
        Assert.SkipWhen(disk is null, "Mounting a small disk needs root.");
        await using var server = new RunningServer();
        await server.StartAsync(new HoneLimits(), blobs: disk.Path);
        var account = await server.NewAccountAsync();
        await account.CreatedAsync("full");
        var name = ("file_name", (string?)null, "training_data.jsonl"u8.ToArray());
        var file = ("file", (string?)"blob", Encoding.ASCII.GetBytes(new string(' ', 2 << 20)));
        using var form = TestAccount.Form(fileFirst ? [file, name] : [name, file]);
        var reply = (await account.SendAsync(HttpMethod.Post, "/ai/finetunes/full/finetune-assets", form)).MustFail(507, 10507, "full");
        Assert.DoesNotContain(disk.Path, reply.Body.GetRawText(), StringComparison.Ordinal);
        Assert.Contains(server.Log, l => l.Contains(Assert.Single(reply.Headers.GetValues("cf-ray")), StringComparison.Ordinal) && l.Contains("No space left", StringComparison.Ordinal));
        Assert.Equal("false", Assert.Single(reply.Headers.GetValues("x-should-retry")));
        Assert.Empty(Directory.EnumerateFiles(disk.Path, "*", SearchOption.AllDirectories));
        // What fits is taken, by the same server.
        (await account.UploadAsync("full", "training_config.json", """{"n_epochs":1}"""u8.ToArray())).MustSucceed();
        await server.StopAsync();
    }
}
