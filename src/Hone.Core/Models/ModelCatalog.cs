using System.Collections.Concurrent;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Hone.Core.Store;
using Hone.Formats;
using Hone.Formats.Files;
using Hone.Formats.Models;
using Microsoft.EntityFrameworkCore;

namespace Hone.Core.Models;

/// <summary>What the API tells about a base model.</summary>
public sealed record ModelMetadata
{
    public required string Name { get; init; }
    public required string Description { get; init; }
    public string? Architecture { get; init; }
    public long? Parameters { get; init; }
    public int? ContextLength { get; init; }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ModelMetadata))]
internal sealed partial class ModelJson : JsonSerializerContext;

public abstract record AddModelResult
{
    private AddModelResult() { }
    public sealed record Added(ModelEntry Model) : AddModelResult;

    /// <summary>What is wrong with the file or the id.</summary>
    public sealed record Refused(IReadOnlyList<string> Errors) : AddModelResult;
}

/// <summary>The file of a model in the catalogue is gone, changed or not readable. The message, which has its path, is for the operator's log.</summary>
public sealed class ModelUnavailableException(string modelId, string message, Exception? inner = null) : Exception(message, inner)
{
    public static ModelUnavailableException Gone(string modelId, string path) => new(modelId, $"{path} of the model {modelId} is gone. Put it back, or remove the model with `hone models remove {modelId}`.");

    /// <summary>A job's code that ends by it.</summary>
    public const string Code = "bad_model";

    /// <summary>For the API's users.</summary>
    public string PublicMessage => $"The model {modelId} cannot be read: its file on the server is gone, has changed or is damaged. Whoever runs the server puts it right and takes it in again (`hone models remove`, `hone models add`); the server's log has the details.";
}

/// <summary>The base models that can be fine-tuned and run: the embedded one and those added by path. Each is opened once and shared.</summary>
public sealed partial class ModelCatalog(HoneStore store, StoreWriter writer, HoneCoreOptions options, TimeProvider clock) : IDisposable
{
    public const string EmbeddedId = "@cf/huggingfacetb/smollm2-135m-instruct";
    private const string EmbeddedFile = "SmolLM2-135M-Instruct.Q4_1.gguf";
    private const int MaximumIdLength = 200;
    private readonly Lazy<ModelEntry?> embedded = new(FindEmbedded);
    private readonly ConcurrentDictionary<string, Lazy<BaseModel>> open = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, Lazy<Task<string>>> hashes = new(StringComparer.Ordinal);

    private static readonly Func<HoneDbContext, IAsyncEnumerable<ModelEntry>> Added = EF.CompileAsyncQuery((HoneDbContext db) => db.Models.OrderBy(m => m.Id).AsQueryable());

    /// <summary>The embedded model first, then the others by id.</summary>
    public async Task<IReadOnlyList<ModelEntry>> ListAsync(CancellationToken cancellationToken)
    {
        await using HoneDbContext db = store.Read();
        List<ModelEntry> added = await Added(db).ToListAsync(cancellationToken);
        return embedded.Value is { } first ? [first, .. added] : added;
    }

    /// <summary>By exact id. Null when there is none.</summary>
    public async Task<ModelEntry?> FindAsync(string? id, CancellationToken cancellationToken)
    {
        if (string.IsNullOrEmpty(id) || id.Length > MaximumIdLength)
            return null;
        if (embedded.Value is { } first && first.Id == id)
            return first;
        await using HoneDbContext db = store.Read();
        return await db.Models.FirstOrDefaultAsync(m => m.Id == id, cancellationToken);
    }

    /// <summary>
    /// The model itself, shared by all who ask: not to be disposed. Throws <see cref="ModelUnavailableException"/> when the model is not in the catalogue or its
    /// file is gone, changed since it was added, or not readable as a model.
    /// </summary>
    public async Task<BaseModel> OpenAsync(string id, CancellationToken cancellationToken)
    {
        ModelEntry entry = await FindAsync(id, cancellationToken) ?? throw new ModelUnavailableException(id, $"The model {id} is not known here. `hone models list` shows those that are.");
        if (!Path.Exists(entry.Path))
            throw ModelUnavailableException.Gone(id, entry.Path);
        (long size, DateTime modifiedAt) = ModelFiles.Stamp(entry.Path);
        if (size != entry.Size || Milliseconds(modifiedAt) != entry.ModifiedAt)
            throw new ModelUnavailableException(id, $"{entry.Path} has changed since it was added as {id}. Run `hone models remove {id}` and `hone models add` again.");
        string key = Identity(entry);
        Lazy<BaseModel> model = open.GetOrAdd(key, _ => new Lazy<BaseModel>(() => BaseModel.Open(entry.Path)));
        try
        {
            return await Task.Run(() => model.Value, cancellationToken);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            // The next one looks at the file anew.
            open.TryRemove(KeyValuePair.Create(key, model));
            if (error is InvalidFileException)
                throw new ModelUnavailableException(id, $"The model {id} cannot be read: {error.Message}", error);
            throw;
        }
    }

    /// <summary>Lower-case hex SHA-256 of the model's file; computed once.</summary>
    public async Task<string> Sha256Async(ModelEntry entry, CancellationToken cancellationToken)
    {
        if (entry.Sha256 is { } known)
            return known;
        string key = Identity(entry);
        Lazy<Task<string>> hash = hashes.GetOrAdd(key, _ => new Lazy<Task<string>>(() => ModelFiles.HashAsync(entry.Path, CancellationToken.None)));
        try
        {
            return await hash.Value.WaitAsync(cancellationToken);
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            hashes.TryRemove(KeyValuePair.Create(key, hash));
            throw;
        }
    }

    /// <summary>Takes a GGUF file or a Hugging Face folder into the catalogue, where it lies. Refused is what <see cref="BaseModel"/> refuses, and weights that are not finite.</summary>
    /// <param name="id">Null: <c>@local/</c> and the file's or folder's name in lower case.</param>
    public async Task<AddModelResult> AddAsync(string path, string? id, CancellationToken cancellationToken)
    {
        path = Path.GetFullPath(path);
        id ??= DefaultId(path);
        var errors = new List<string>();
        if (!IsId(id))
            errors.Add($"\"{id}\" cannot be a model's id: up to {MaximumIdLength} letters, digits, '.', '_', '-' in parts divided by '/', the first part perhaps after '@', as in @cf/qwen/qwen2.5-0.5b-instruct.");
        else if (await FindAsync(id, cancellationToken) is { } other)
            errors.Add($"The id {id} is taken by {other.Path}. Choose another with --id, or remove that one with `hone models remove {id}`.");
        ModelMetadata? metadata = null;
        if (Directory.Exists(path) && !ModelFiles.IsFolder(path))
            errors.Add($"{path} is a folder without a config.json; name the GGUF file in it, or a folder with a Hugging Face model.");
        else if (!Path.Exists(path))
            errors.Add($"There is no file {path}.");
        else
        {
            try
            {
                (metadata, IReadOnlyList<string> notFinite) = await Task.Run(() => Describe(path, id, cancellationToken), cancellationToken);
                errors.AddRange(notFinite);
            }
            catch (InvalidFileException e)
            {
                errors.Add(e.Message);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                errors.Add($"{path} cannot be read: {e.Message}");
            }
        }
        if (errors.Count > 0)
            return new AddModelResult.Refused(errors);
        (long size, DateTime modifiedAt) = ModelFiles.Stamp(path);
        var entry = new ModelEntry
        {
            Id = id,
            Path = path,
            Sha256 = await ModelFiles.HashAsync(path, cancellationToken),
            Size = size,
            ModifiedAt = Milliseconds(modifiedAt),
            CreatedAt = clock.GetUtcNow(),
            MetadataJson = JsonSerializer.Serialize(metadata!, ModelJson.Default.ModelMetadata),
        };
        return await writer.RunAsync(async db =>
        {
            if (await db.Models.AnyAsync(m => m.Id == id, cancellationToken))
                return (AddModelResult)new AddModelResult.Refused([$"The id {id} was taken meanwhile."]);
            db.Models.Add(entry);
            await db.SaveChangesAsync(cancellationToken);
            return new AddModelResult.Added(entry);
        }, cancellationToken);
    }

    /// <summary>Adds the GGUF files and the Hugging Face folders in <see cref="HoneCoreOptions.ModelFolders"/> that are not in the catalogue; answers why some were left out.</summary>
    public async Task<IReadOnlyList<string>> AddFoldersAsync(CancellationToken cancellationToken)
    {
        var refused = new List<string>();
        HashSet<string> known = [.. (await ListAsync(cancellationToken)).Select(m => m.Path)];
        foreach (string folder in options.ModelFolders)
        {
            if (!Directory.Exists(folder))
            {
                refused.Add($"There is no folder {folder}.");
                continue;
            }
            string root = Path.GetFullPath(folder);
            foreach (string path in Directory.EnumerateFiles(root, "*.gguf").Where(f => !ModelFiles.IsLaterPart(f)).Concat(Directory.EnumerateDirectories(root).Where(ModelFiles.IsFolder)).Order(StringComparer.Ordinal))
            {
                if (!known.Contains(path) && await AddAsync(path, null, cancellationToken) is AddModelResult.Refused { Errors: var errors })
                    refused.Add($"{path} is left out: {string.Join(' ', errors)}");
            }
        }
        return refused;
    }

    /// <summary>Takes a model that was added out of the catalogue; its file stays. False when there is none.</summary>
    public async Task<bool> RemoveAsync(string id, CancellationToken cancellationToken) =>
        await writer.RunAsync(async db => await db.Models.Where(m => m.Id == id).ExecuteDeleteAsync(cancellationToken), cancellationToken) > 0;

    public static ModelMetadata Metadata(ModelEntry entry) => JsonSerializer.Deserialize(entry.MetadataJson, ModelJson.Default.ModelMetadata)!;

    public void Dispose()
    {
        foreach (Lazy<BaseModel> model in open.Values)
        {
            if (model.IsValueCreated)
                model.Value.Dispose();
        }
        open.Clear();
    }

    internal static bool IsId(string id) => id.Length is > 0 and <= MaximumIdLength && IdPattern().IsMatch(id);

    [GeneratedRegex(@"\A@?[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*\z")]
    private static partial Regex IdPattern();

    private static string DefaultId(string path)
    {
        var name = new StringBuilder("@local/");
        foreach (char c in ModelFiles.NameOf(path).ToLowerInvariant())
            name.Append(char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' ? c : '-');
        return name.ToString();
    }

    private static (ModelMetadata Metadata, IReadOnlyList<string> NotFinite) Describe(string path, string id, CancellationToken cancellationToken)
    {
        using BaseModel model = BaseModel.Open(path);
        var metadata = new ModelMetadata
        {
            Name = id,
            Description = $"{model.Name ?? Path.GetFileNameWithoutExtension(path)}, {model.Quantization}.",
            Architecture = model.Config.Architecture,
            Parameters = model.Parameters,
            ContextLength = model.ContextLength,
        };
        return (metadata, model.FindNotFinite(cancellationToken));
    }

    private static string Identity(ModelEntry entry) => $"{entry.Size}:{entry.ModifiedAt.ToUnixTimeMilliseconds()}:{entry.Path}";

    // As the database keeps it.
    private static DateTimeOffset Milliseconds(DateTime time) => DateTimeOffset.FromUnixTimeMilliseconds(new DateTimeOffset(time).ToUnixTimeMilliseconds());

    public static ModelEntry? FindEmbedded()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string path = Path.Combine(folder.FullName, "models", EmbeddedFile);
            if (!File.Exists(path))
                continue;
            FileInfo file = LinkedFile.Info(path);
            var metadata = new ModelMetadata
            {
                Name = EmbeddedId,
                Description = "SmolLM2 135M Instruct, Q4_1 (Apache-2.0), embedded in Hone.",
                Architecture = "llama",
                Parameters = 134_515_008,
                ContextLength = 8192,
            };
            return new ModelEntry
            {
                Id = EmbeddedId,
                Path = path,
                Size = file.Length,
                ModifiedAt = Milliseconds(file.LastWriteTimeUtc),
                CreatedAt = Milliseconds(file.LastWriteTimeUtc),
                MetadataJson = JsonSerializer.Serialize(metadata, ModelJson.Default.ModelMetadata),
            };
        }
        return null;
    }
}
