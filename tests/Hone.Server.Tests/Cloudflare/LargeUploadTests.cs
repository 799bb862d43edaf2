using System.Buffers.Binary;
using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Hone.Core.Processes;

namespace Hone.Server.Tests.Cloudflare;

/// <summary>The real executable with a heap of 64 MB takes the largest adapter there may be.</summary>
[Trait("Category", "Native")]
[Trait("Category", "Slow")]
public sealed class LargeUploadTests
{
    private const long Size = (300L << 20) - 4096;
    private const long TooLarge = 400L << 20;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Upload_300Megabytes_FitsIn64MegabytesOfHeap(bool fileFirst)
    {
        string folder = Directory.CreateTempSubdirectory("hone-large-").FullName;
        using var process = Start(folder);
        try
        {
            var credentials = JsonElement.Parse((await process.StandardOutput.ReadLineAsync().WaitAsync(RunningServer.Patience))!);
            using var http = new HttpClient { BaseAddress = new Uri(credentials.GetProperty("url").GetString()!), Timeout = TimeSpan.FromMinutes(5) };
            http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", credentials.GetProperty("token").GetString());
            string root = $"/client/v4/accounts/{credentials.GetProperty("account_id").GetString()}/ai/finetunes";
            (await http.PostAsync(root, TestAccount.Text($$"""{"model":"{{RunningServer.Model}}","name":"large"}"""))).EnsureSuccessStatusCode();

            using var taken = await http.PostAsync($"{root}/large/finetune-assets", Form(Size, fileFirst));
            // Alone, without its config, it waits to be checked.
            Assert.True(taken.StatusCode is HttpStatusCode.OK, await taken.Content.ReadAsStringAsync());
            var asset = Assert.Single(JsonElement.Parse(await http.GetStringAsync($"{root}/large/finetune-assets")).GetProperty("result").EnumerateArray());
            Assert.Equal(Size, asset.GetProperty("size").GetInt64());

            (await http.PostAsync(root, TestAccount.Text($$"""{"model":"{{RunningServer.Model}}","name":"larger"}"""))).EnsureSuccessStatusCode();
            using var refused = await http.PostAsync($"{root}/larger/finetune-assets", Form(TooLarge, fileFirst));
            (await Reply.OfAsync(refused)).MustFail(413, 3006, "adapter_model.safetensors");
            Assert.Empty(Directory.EnumerateFiles(Path.Combine(folder, "blobs", "tmp")));

            // The other dialect takes more, and does not hold it either.
            using var training = Purposed(TooLarge, fileFirst);
            using var file = await http.PostAsync("/v1/files", training);
            Assert.Equal(TooLarge, (await Reply.OfAsync(file)).Body.GetProperty("bytes").GetInt64());
        }
        finally
        {
            process.StandardInput.Close();
            using var patience = new CancellationTokenSource(RunningServer.Patience);
            await process.WaitForExitAsync(patience.Token);
            Directory.Delete(folder, recursive: true);
        }
        Assert.Equal(0, process.ExitCode);
    }

    private static Process Start(string folder)
    {
        var hone = HoneExecutable.Locate();
        var start = new ProcessStartInfo(hone.FileName, [.. hone.LeadingArguments, "serve", "--data", folder, "--listen", "http://127.0.0.1:0", "--no-worker", "--json", "--until-input-ends"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        start.Environment["DOTNET_GCHeapHardLimit"] = (64 << 20).ToString("x");
        return Process.Start(start)!;
    }

    /// <summary>A safetensors file of one tensor, made while it is sent.</summary>
    private static MultipartFormDataContent Form(long size, bool fileFirst)
    {
        HttpContent name = new ByteArrayContent("adapter_model.safetensors"u8.ToArray());
        HttpContent file = new StreamContent(new Adapter(size), 1 << 16);
        name.Headers.TryAddWithoutValidation("Content-Disposition", "form-data; name=\"file_name\"");
        file.Headers.TryAddWithoutValidation("Content-Disposition", "form-data; name=\"file\"; filename=\"blob\"");
        var form = new MultipartFormDataContent("----hone-test");
        foreach (var part in fileFirst ? (HttpContent[])[file, name] : [name, file])
            form.Add(part);
        return form;
    }

    private static MultipartFormDataContent Purposed(long size, bool fileFirst)
    {
        HttpContent purpose = new ByteArrayContent("fine-tune"u8.ToArray());
        HttpContent file = new StreamContent(new Adapter(size), 1 << 16);
        purpose.Headers.TryAddWithoutValidation("Content-Disposition", "form-data; name=\"purpose\"");
        file.Headers.TryAddWithoutValidation("Content-Disposition", "form-data; name=\"file\"; filename=\"rows.jsonl\"");
        var form = new MultipartFormDataContent("----hone-test");
        foreach (var part in fileFirst ? (HttpContent[])[file, purpose] : [purpose, file])
            form.Add(part);
        return form;
    }

    private sealed class Adapter : Stream
    {
        private readonly byte[] head;
        private readonly long size;
        private long position;

        public Adapter(long size)
        {
            this.size = size;
            // The header is padded to 1,024 bytes, as the format allows.
            byte[] header = new byte[1024];
            header.AsSpan().Fill((byte)' ');
            long data = size - 8 - header.Length;
            JsonSerializer.SerializeToUtf8Bytes(new Dictionary<string, object>
            {
                ["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"] = new { dtype = "U8", shape = new[] { data }, data_offsets = new[] { 0, data } },
            }).CopyTo(header, 0);
            head = new byte[8 + header.Length];
            BinaryPrimitives.WriteInt64LittleEndian(head, header.Length);
            header.CopyTo(head, 8);
        }

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => position; set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count)
        {
            int read = (int)Math.Min(count, size - position);
            for (int i = 0; i < read; i++, position++)
                buffer[offset + i] = position < head.Length ? head[position] : (byte)1;
            return read;
        }

        public override void Flush() => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
