using System.Text;
using Hone.Formats;
using Hone.Server.Cloudflare;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace Hone.Server.Requests;

/// <summary>
/// A form with a text part <c>file_name</c> and one file, in either order. Nothing of the file is held in memory: it flows from the socket to whoever reads
/// <see cref="Content"/>, or through a temporary file that has no name any more where it comes before its <c>file_name</c>.
/// </summary>
internal sealed class MultipartUpload : IAsyncDisposable
{
    private const int MaxFileNameBytes = 4096;
    private const int MaxParts = 16;
    private const int BufferSize = 1 << 16;

    private MultipartUpload(string fileName, Stream content, FileStream? spool)
    {
        FileName = fileName;
        Content = content;
        Spool = spool;
    }

    public string FileName { get; }

    /// <summary>Ends only after the whole form was read and found complete, so what reads it to its end may keep what it read.</summary>
    public Stream Content { get; }

    private FileStream? Spool { get; }

    /// <param name="spoolFolder">Where a file waits for its name.</param>
    /// <param name="limit">Of the whole form, in bytes.</param>
    public static async Task<MultipartUpload> OpenAsync(HttpRequest request, string spoolFolder, long limit, CancellationToken cancellationToken)
    {
        var reader = new MultipartReader(Boundary(request), UploadStream.Open(request, limit), BufferSize) { HeadersCountLimit = 16, HeadersLengthLimit = 16384 };
        string? fileName = null;
        FileStream? spool = null;
        try
        {
            for (int part = 0; await NextAsync(reader, cancellationToken) is { } section; part++)
            {
                if (part == MaxParts)
                    throw Refuse($"the form has more than {MaxParts} parts");
                switch (Kind(section))
                {
                    case PartKind.FileName when fileName is not null:
                        throw Refuse("the part 'file_name' is there twice");
                    case PartKind.FileName:
                        fileName = await ReadTextAsync(section.Body, cancellationToken);
                        break;
                    case PartKind.File when spool is not null:
                        throw Refuse("the form has more than one file: upload them one by one");
                    case PartKind.File when fileName is not null:
                        return new(fileName, new FormFile(section.Body, reader), null);
                    case PartKind.File:
                        spool = await SpoolAsync(section.Body, spoolFolder, cancellationToken);
                        break;
                    default:
                        await SkipAsync(section, cancellationToken);
                        break;
                }
            }
            if (fileName is null)
                throw Refuse("the part 'file_name' is missing: it names the asset, for example training_data.jsonl");
            if (spool is null)
                throw Refuse("the part 'file' is missing: it holds the asset's bytes");
            return new(fileName, spool, spool);
        }
        catch
        {
            if (spool is not null)
                await spool.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (Spool is not null)
            await Spool.DisposeAsync();
    }

    internal static string Boundary(HttpRequest request)
    {
        if (!MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !type.MediaType.Equals("multipart/form-data", StringComparison.OrdinalIgnoreCase))
            throw Refuse($"the content type is '{request.ContentType.Shown()}', multipart/form-data is expected");
        var boundary = HeaderUtilities.RemoveQuotes(type.Boundary);
        return boundary.Length is > 0 and <= 200
            ? boundary.ToString()
            : throw Refuse("the content type has no boundary of 1 to 200 characters");
    }

    private enum PartKind { Other, FileName, File }

    private static PartKind Kind(MultipartSection section)
    {
        if (!ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out var disposition))
            throw Refuse("a part has no readable Content-Disposition header");
        string name = HeaderUtilities.RemoveQuotes(disposition.Name).ToString();
        if (name == "file_name")
            return PartKind.FileName;
        bool hasFile = disposition.FileName.HasValue || disposition.FileNameStar.HasValue;
        return name is "file" or "blob" || hasFile ? PartKind.File : PartKind.Other;
    }

    private static async Task<string> ReadTextAsync(Stream part, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[MaxFileNameBytes + 1];
        int length = await Guard(() => part.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellationToken).AsTask());
        if (length > MaxFileNameBytes)
            throw Refuse($"the part 'file_name' is longer than {MaxFileNameBytes} bytes");
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(buffer, 0, length);
        }
        catch (DecoderFallbackException e)
        {
            throw Refuse("the part 'file_name' is not UTF-8", e);
        }
    }

    private static async Task<FileStream> SpoolAsync(Stream part, string folder, CancellationToken cancellationToken)
    {
        string path = Path.Combine(folder, $"upload-{Guid.NewGuid():n}.tmp");
        var file = new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Delete, 1 << 16, FileOptions.Asynchronous | FileOptions.DeleteOnClose);
        try
        {
            // Without a name it cannot outlive the process.
            File.Delete(path);
            await CopyAsync(part, file, cancellationToken);
            file.Position = 0;
            return file;
        }
        catch
        {
            await file.DisposeAsync();
            throw;
        }
    }

    internal static Task<MultipartSection?> NextAsync(MultipartReader reader, CancellationToken cancellationToken) =>
        Guard(() => reader.ReadNextSectionAsync(cancellationToken));

    private static Task SkipAsync(MultipartSection section, CancellationToken cancellationToken) => CopyAsync(section.Body, Stream.Null, cancellationToken);

    private static async Task CopyAsync(Stream part, Stream target, CancellationToken cancellationToken) => await Guard(async () =>
    {
        await part.CopyToAsync(target, 1 << 16, cancellationToken);
        return 0;
    });

    /// <summary>What the reader throws about the form's own shape is the client's mistake.</summary>
    internal static async Task<T> Guard<T>(Func<Task<T>> read)
    {
        try
        {
            return await read();
        }
        catch (InvalidDataException e)
        {
            throw Refuse($"the form is broken: {e.Message}", e);
        }
        catch (IOException e) when (e.GetType() == typeof(IOException) && e.Message.StartsWith("Unexpected end of Stream", StringComparison.Ordinal))
        {
            throw Refuse("the form ends before its closing boundary", e);
        }
    }

    internal static ApiErrorException Refuse(string why, Exception? inner = null) =>
        new(new ApiError(400, ApiErrors.InvalidUpload, $"Invalid upload: {why}") { FromAi = true }, inner);

    /// <summary>The file's part; at its end the rest of the form is read and must be sound.</summary>
    private sealed class FormFile(Stream part, MultipartReader reader) : ReadOnlyStream
    {
        private bool ended;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (ended || buffer.IsEmpty)
                return 0;
            int count = await Guard(() => part.ReadAsync(buffer, cancellationToken).AsTask());
            if (count > 0)
                return count;
            for (int parts = 0; await NextAsync(reader, cancellationToken) is { } section; parts++)
            {
                if (parts == MaxParts)
                    throw Refuse($"the form has more than {MaxParts} parts");
                if (Kind(section) is not PartKind.Other)
                    throw Refuse("the form has a second file or file_name: upload files one by one");
                await SkipAsync(section, cancellationToken);
            }
            ended = true;
            return 0;
        }
    }
}
