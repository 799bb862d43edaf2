using System.Net;
using System.Security.Cryptography;
using System.Text;
using Hone.Core;
using Hone.Core.Blobs;

namespace Hone.Server.Tests.OpenAI;

public sealed class FileTests(RunningServer server) : IClassFixture<RunningServer>
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Upload_FieldsInAnyOrder_IsListedReadAndDeleted(bool shortAddress)
    {
        var client = await OpenAIClient.NewAsync(server, shortAddress);
        byte[] bytes = Encoding.UTF8.GetBytes(OpenAIClient.Rows());

        var first = (await client.FormAsync("/files", ("purpose", null, "fine-tune"u8.ToArray()), ("file", "dir/a b.jsonl", bytes))).Must();
        var second = (await client.FormAsync("/files", ("file", "b.jsonl", bytes), ("purpose", null, "fine-tune"u8.ToArray()))).Must();

        string id = first.GetProperty("id").GetString()!;
        Assert.Matches("^file-[0-9a-f]{32}$", id);
        Assert.Equal(("file", "a b.jsonl", "fine-tune", "processed", bytes.Length), (first.GetProperty("object").GetString(), first.GetProperty("filename").GetString(),
            first.GetProperty("purpose").GetString(), first.GetProperty("status").GetString(), first.GetProperty("bytes").GetInt32()));
        Assert.Equal(first.GetRawText(), (await client.GetAsync($"/files/{id}")).Must().GetRawText());
        Assert.Equal(bytes, (await client.BytesAsync($"/files/{id}/content")).Bytes);
        Assert.Equal(2, (await client.GetAsync("/files")).Must().Ids().Length);
        Assert.Empty((await client.GetAsync("/files?purpose=fine-tune-results")).Must().Ids());

        Assert.Equal($$"""{"id":"{{id}}","object":"file","deleted":true}""", (await client.DeleteAsync($"/files/{id}")).Must().GetRawText());
        (await client.GetAsync($"/files/{id}")).MustRefuse(404, "id", $"No such File object: {id}");
        Assert.Equal(HttpStatusCode.NotFound, (await client.BytesAsync($"/files/{id}/content")).Status);
        (await client.DeleteAsync($"/files/{id}")).MustRefuse(404, "id", id);
        Assert.Equal([second.GetProperty("id").GetString()!], (await client.GetAsync("/files")).Must().Ids());
        // Both had the same blob, which the other file still names.
        Assert.True(server.Service<BlobStore>().Exists(Convert.ToHexStringLower(SHA256.HashData(bytes)), bytes.Length));
    }

    [Fact]
    public async Task List_Pages_HoldEachFileOnce()
    {
        var client = await OpenAIClient.NewAsync(server);
        var ids = new List<string>();
        for (int i = 0; i < 5; i++)
            ids.Add(await client.UploadedAsync(OpenAIClient.Rows()));
        foreach (string order in (string[])["asc", "desc"])
        {
            var seen = new List<string>();
            string after = "";
            while (true)
            {
                var page = (await client.GetAsync($"/files?limit=2&order={order}{after}")).Must();
                seen.AddRange(page.Ids());
                Assert.Equal(page.Ids()[^1], page.GetProperty("last_id").GetString());
                if (!page.GetProperty("has_more").GetBoolean())
                    break;
                after = $"&after={seen[^1]}";
            }
            Assert.Equal(ids.Order(StringComparer.Ordinal), seen.Order(StringComparer.Ordinal));
        }
        (await client.GetAsync("/files?after=file-none")).MustRefuse(400, "after", "file-none");
        (await client.GetAsync("/files?limit=0")).MustRefuse(400, "limit", "from 1 to 10000");
        (await client.GetAsync("/files?order=up")).MustRefuse(400, "order", "asc or desc");
    }

    /// <summary>As the official clients' pages go: on behind the last id of the page before.</summary>
    [Theory]
    [InlineData("files")]
    [InlineData("fine_tuning/jobs")]
    public async Task Bug_ListThatIsDeletedOnTheWay_EndedIn400(string list)
    {
        var client = await OpenAIClient.NewAsync(server);
        for (int i = 0; i < 3; i++)
            await client.QueuedJobAsync();
        string[] all = (await client.GetAsync($"/{list}")).Must().Ids();
        var seen = new List<string>();
        for (string after = ""; (await client.GetAsync($"/{list}?limit=1{after}")).Must().Ids() is [var id]; after = $"&after={id}")
        {
            seen.Add(id);
            if (list == "files")
                (await client.DeleteAsync($"/files/{id}")).Must();
            else
                await client.Account.SendAsync(HttpMethod.Delete, $"/ai/finetunes/{Guid.Parse(id["ftjob-".Length..])}");
        }
        Assert.Equal(3, seen.Count);
        Assert.Equal(all, seen);
        Assert.Empty((await client.GetAsync($"/{list}")).Must().Ids());
    }

    [Fact]
    public async Task Files_OfAnotherAccount_AreNotThere()
    {
        var owner = await OpenAIClient.NewAsync(server);
        var stranger = await OpenAIClient.NewAsync(server, shortAddress: true);
        string id = await owner.UploadedAsync(OpenAIClient.Rows());
        (await stranger.GetAsync($"/files/{id}")).MustRefuse(404, "id", id);
        (await stranger.DeleteAsync($"/files/{id}")).MustRefuse(404, "id", id);
        Assert.Empty((await stranger.GetAsync($"/files?after={id}")).Must().Ids());
        Assert.Empty((await stranger.GetAsync("/files")).Must().Ids());
    }

    [Fact]
    public async Task Upload_Unsound_IsRefusedAndLeavesNothing()
    {
        var client = await OpenAIClient.NewAsync(server);
        (await client.FormAsync("/files", ("file", "a.jsonl", [1]))).MustRefuse(400, "purpose", "required");
        (await client.FormAsync("/files", ("purpose", null, "assistants"u8.ToArray()), ("file", "a.jsonl", [1]))).MustRefuse(400, "purpose", "\"assistants\" is not one of");
        (await client.FormAsync("/files", ("purpose", null, "fine-tune"u8.ToArray()))).MustRefuse(400, "file", "required");
        (await client.FormAsync("/files", ("purpose", null, "fine-tune"u8.ToArray()), ("file", "a.jsonl", []))).MustRefuse(400, "file", "empty");
        (await client.FormAsync("/files", ("purpose", null, "fine-tune"u8.ToArray()), ("file", "a.jsonl", [1]), ("expires_after[anchor]", null, "created_at"u8.ToArray())))
            .MustRefuse(400, "expires_after[anchor]", "Unrecognized request argument supplied: expires_after[anchor]");
        (await client.PostAsync("/files", "{}")).MustRefuse(400, null, "multipart/form-data");
        Assert.Empty((await client.GetAsync("/files")).Must().Ids());
    }

    [Fact]
    public async Task Upload_TooLarge_Is413()
    {
        await using var small = new RunningServer();
        await small.StartAsync(new HoneLimits { TrainingDataBytes = 1000, UploadPartBytes = 100 });
        var client = await OpenAIClient.NewAsync(small);
        (await client.UploadAsync(new string('x', 1001))).MustRefuse(413, "file", "1000 bytes", "file_too_large");
        (await client.PostAsync("/uploads", """{"filename":"a","purpose":"fine-tune","bytes":1001}""")).MustRefuse(400, "bytes", "1001");
        string id = (await client.PostAsync("/uploads", """{"filename":"a","purpose":"fine-tune","bytes":1000}""")).Must().GetProperty("id").GetString()!;
        (await client.FormAsync($"/uploads/{id}/parts", ("data", "blob", new byte[101]))).MustRefuse(413, "data", "100 bytes");
        // A part sent again takes no room from the others.
        byte[][] parts = [.. Enumerable.Range(0, 10).Select(i => Enumerable.Repeat((byte)i, 100).ToArray())];
        foreach (byte[] part in parts.Prepend(parts[0]).Append(parts[9]))
            (await client.FormAsync($"/uploads/{id}/parts", ("data", "blob", part))).Must();
        (await client.FormAsync($"/uploads/{id}/parts", ("data", "blob", [11]))).MustRefuse(413, "data", "1000 bytes");
    }

    [Fact]
    public async Task Uploads_PartsInTheOrderOfTheCompletion_BecomeAFile()
    {
        var client = await OpenAIClient.NewAsync(server);
        byte[] whole = Encoding.UTF8.GetBytes(OpenAIClient.Rows());
        byte[][] parts = [whole[..100], whole[100..101], whole[101..]];
        var upload = (await client.PostAsync("/uploads", $$"""{"filename":"../folder/rows.jsonl","purpose":"fine-tune","bytes":{{whole.Length}},"mime_type":"text/jsonl"}""")).Must();
        string id = upload.GetProperty("id").GetString()!;
        Assert.Equal(("pending", "rows.jsonl"), (upload.GetProperty("status").GetString(), upload.GetProperty("filename").GetString()));
        Assert.Equal(3600, upload.GetProperty("expires_at").GetInt64() - upload.GetProperty("created_at").GetInt64());
        string[] ids = new string[3];
        foreach (int i in (int[])[2, 0, 1])
            ids[i] = (await client.FormAsync($"/uploads/{id}/parts", ("data", "blob", parts[i]))).Must().GetProperty("id").GetString()!;
        string list = string.Join(',', ids.Select(i => $"\"{i}\""));
#pragma warning disable CA5351 // the API's own check sum
        string md5 = Convert.ToHexStringLower(MD5.HashData(whole));
#pragma warning restore CA5351

        (await client.PostAsync($"/uploads/{id}/complete", $$"""{"part_ids":["{{ids[0]}}"]}""")).MustRefuse(400, "part_ids", $"announced with {whole.Length}");
        (await client.PostAsync($"/uploads/{id}/complete", $$"""{"part_ids":["{{ids[0]}}","{{ids[0]}}"]}""")).MustRefuse(400, "part_ids", "named twice");
        (await client.PostAsync($"/uploads/{id}/complete", $$"""{"part_ids":[{{list}}],"md5":"00"}""")).MustRefuse(400, "md5", md5);
        var completed = (await client.PostAsync($"/uploads/{id}/complete", $$"""{"part_ids":[{{list}}],"md5":"{{md5}}"}""")).Must();

        Assert.Equal("completed", completed.GetProperty("status").GetString());
        string file = completed.GetProperty("file").GetProperty("id").GetString()!;
        Assert.Equal(whole, (await client.BytesAsync($"/files/{file}/content")).Bytes);
        (await client.FormAsync($"/uploads/{id}/parts", ("data", "blob", parts[0]))).MustRefuse(400, "upload_id", "is completed");
        (await client.PostAsync($"/uploads/{id}/cancel")).MustRefuse(400, "upload_id", "is completed");
    }

    [Fact]
    public async Task Uploads_Cancelled_TakeNothingMore()
    {
        var client = await OpenAIClient.NewAsync(server);
        string id = (await client.PostAsync("/uploads", """{"filename":"a","purpose":"fine-tune","bytes":1}""")).Must().GetProperty("id").GetString()!;
        Assert.Equal("cancelled", (await client.PostAsync($"/uploads/{id}/cancel")).Must().GetProperty("status").GetString());
        (await client.FormAsync($"/uploads/{id}/parts", ("data", "blob", [1]))).MustRefuse(400, "upload_id", "is cancelled");
        (await client.PostAsync("/uploads/upload_none/cancel")).MustRefuse(404, "upload_id", "upload_none");
        (await client.PostAsync("/uploads", """{"purpose":"batch"}""")).MustRefuse(400, "filename", "'bytes' is a required property");
    }
}
