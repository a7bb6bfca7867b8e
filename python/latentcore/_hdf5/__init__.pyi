from latentcore._hdf5.chunks import named_filters as named_filters
from latentcore._hdf5.files import found as found, new_file as new_file, opened as opened
from latentcore._hdf5.judging import checked as checked, dataset as dataset, names_in as names_in, stored as stored
from latentcore._hdf5.kinds import is_dataset as is_dataset
from latentcore._hdf5.names import ERRORS as ERRORS, naming as naming, reason as reason
from latentcore._hdf5.reading import read as read, read_attribute as read_attribute, read_into as read_into
