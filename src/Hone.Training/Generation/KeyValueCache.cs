using System.Runtime.InteropServices;
using Hone.Formats.Models;
using Hone.Training.Kernels;

namespace Hone.Training.Generation;

/// <summary>
/// Keys and values of one stream in pages of <see cref="PageTokens"/> tokens (Kwon et al. 2023, arXiv:2309.06180). Full pages of a common beginning are shared by
/// reference between streams and ended prompts; who adds tokens does so on a page of its own.
/// </summary>
internal sealed unsafe class KeyValueCache(ModelConfig config) : IDisposable
{
    public const int PageTokens = ModelMemory.PageTokens;

    private readonly int _heads = config.KeyValueHeads, _d = config.HeadDim, _blocks = 2 * config.Layers * config.KeyValueHeads;
    private readonly long _pageBytes = PageBytes(config);
    private readonly List<CachePage> _pages = [];

    /// <summary>Tokens in the cache.</summary>
    public int Length { get; set; }

    public IReadOnlyList<CachePage> Pages => _pages;

    /// <summary>Of all pages, shared ones as well.</summary>
    public long Bytes => _pages.Count * _pageBytes;

    /// <summary>Memory of a page: 2 · L · K · d numbers for each of its tokens.</summary>
    public static long PageBytes(ModelConfig config) => 2L * config.Layers * config.KeyValueHeads * config.HeadDim * PageTokens * sizeof(float);

    /// <summary>Memory that so many tokens take.</summary>
    public static long BytesFor(ModelConfig config, int tokens) => (tokens + PageTokens - 1L) / PageTokens * PageBytes(config);

    /// <summary>The first tokens of another cache become this one's, which is empty: full pages are shared, the rest of the last one is copied.</summary>
    public void Begin(IReadOnlyList<CachePage> known, int length)
    {
        int full = length / PageTokens, rest = length % PageTokens;
        for (int p = 0; p < full; p++)
            _pages.Add(known[p].Take());
        if (rest > 0)
        {
            var own = new CachePage(_pageBytes);
            _pages.Add(own);
            for (int block = 0; block < _blocks; block++)
            {
                nint at = (nint)block * PageTokens * _d;
                new Span<float>(known[full].Data + at, rest * _d).CopyTo(new Span<float>(own.Data + at, rest * _d));
            }
        }
        Length = length;
    }

    /// <summary>Makes room for more tokens behind those of the cache.</summary>
    public void Grow(int more)
    {
        while (_pages.Count * PageTokens < Length + more)
            _pages.Add(new CachePage(_pageBytes));
    }

    /// <summary>A page's keys of a head [<see cref="PageTokens"/>, d].</summary>
    public Matrix Keys(int layer, int head, int page) => Block(page, 2 * layer * _heads + head);

    /// <inheritdoc cref="Keys"/>
    public Matrix Values(int layer, int head, int page) => Block(page, (2 * layer + 1) * _heads + head);

    private Matrix Block(int page, int block) => new(_pages[page].Data + (nint)block * PageTokens * _d, PageTokens, _d, _d);

    public void Dispose()
    {
        foreach (CachePage page in _pages)
            page.Dispose();
        _pages.Clear();
    }
}

/// <summary>Memory of one page's keys and values, freed when the last of its users has disposed it. Used by the generator's thread alone.</summary>
internal sealed unsafe class CachePage : IDisposable
{
    private const int CacheLine = 64;

    private int _users = 1;

    public CachePage(long bytes)
    {
        Bytes = bytes;
        Data = (float*)NativeMemory.AlignedAlloc((nuint)bytes, CacheLine);
    }

    public long Bytes { get; }

    public float* Data { get; private set; }

    /// <summary>Ended prompts that hold the page.</summary>
    public int Kept { get; set; }

    /// <summary>One user more.</summary>
    public CachePage Take()
    {
        ObjectDisposedException.ThrowIf(_users == 0, this);
        _users++;
        return this;
    }

    public void Dispose()
    {
        if (--_users != 0)
            return;
        NativeMemory.AlignedFree(Data);
        Data = null;
    }
}
